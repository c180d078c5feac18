/* A hint to read a cache line; nothing where the compiler has none. */
#ifndef FCFAST_PREFETCH_H
#define FCFAST_PREFETCH_H
#if defined(__GNUC__) || defined(__clang__)
#define fcfast_prefetch(address) __builtin_prefetch(address)
#else
#define fcfast_prefetch(address) ((void)0)
#endif
#endif
