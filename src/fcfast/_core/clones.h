/* Functions that are compiled for several generations of processors; a call takes the newest that runs here.

   All give the same bits: vectors are wider, but no operation is reordered, and multiplications are not fused with additions
   (-ffp-contract=off). Only GCC with glibc does this on x86-64. Sanitizers start after the choice is made. */
#ifndef FCFAST_CLONES_H
#define FCFAST_CLONES_H
#include <limits.h> /* any header of glibc says that it is glibc */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FCFAST_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FCFAST_CLONES
#endif
#endif
