/* OpenMP, or its absence, behind two functions: the kernels compile either way. */
#ifndef FCFAST_OPENMP_SHIM_H
#define FCFAST_OPENMP_SHIM_H
#ifdef _OPENMP
#include <omp.h>
static inline int fcfast_openmp_enabled(void) { return 1; }
static inline int fcfast_max_threads(void) { return omp_get_max_threads(); }
#else
static inline int fcfast_openmp_enabled(void) { return 0; }
static inline int fcfast_max_threads(void) { return 1; }
#endif
#endif
