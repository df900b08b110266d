/* SPDX-License-Identifier: MIT */
/* When workers work: worker.c, scale.c. */
#ifndef CAPOS_BENCH_SCALE_H
#define CAPOS_BENCH_SCALE_H

#define SCALE_PERIOD_NS UINT64_C(800000000)
#define SCALE_WINDOW_NS UINT64_C(350000000) /* from the middle of a period; less than half of one */

#endif
