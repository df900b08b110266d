/* SPDX-License-Identifier: MIT */
/*
 * Clock: the time stamp counter, scaled by a 32.32 fixed-point factor found at boot. Deadline: the
 * local APIC's timer, in TSC-deadline mode where the processor has it, else counting down.
 *
 * Reference for calibration: the ACPI timer (3,579,545 Hz, 24 bits), else channel 2 of the PIT
 * (1,193,182 Hz). Two milliseconds at either's resolution give better than one part in 3,000.
 */
#include "timer.h"

#include "acpi.h"
#include "apic.h"
#include "arch/arch.h"
#include "processor.h"
#include "x86.h"

enum {
    ACPI_TIMER_HZ = 3579545,
    ACPI_TIMER_MASK = 0xffffff,
    PIT_HZ = 1193182,
    CALIBRATE_ACPI_TICKS = ACPI_TIMER_HZ / 500,
    CALIBRATE_PIT_TICKS = PIT_HZ / 500,
    SPIN_MAX = 100000000,
    NS_PER_S = 1000000000,
};

uint64_t time_tsc_base;
uint64_t time_ns_per_tick_32;
static uint64_t tsc_per_ns_32; /* and back */
static uint64_t lapic_per_ns_32;

static uint64_t scale_32(uint64_t value, uint64_t factor)
{
    return (uint64_t)((unsigned __int128)value * factor >> 32);
}

struct measured {
    uint64_t tsc, lapic, ns;
};

/* One reading; TSC and reference are read next to each other. */
static uint32_t acpi_ticks(uint64_t *tsc)
{
    uint32_t ticks = in32(acpi.pm_timer_port) & ACPI_TIMER_MASK;
    *tsc = arch_cycles();
    return ticks;
}

static bool measure_acpi(struct measured *m)
{
    uint64_t start_tsc, tsc;
    uint32_t start = acpi_ticks(&start_tsc);
    uint32_t passed = 0;
    lapic_timer_start(UINT32_MAX);
    for (unsigned i = 0; i < SPIN_MAX / 100; i++) {
        passed = (acpi_ticks(&tsc) - start) & ACPI_TIMER_MASK;
        if (passed >= CALIBRATE_ACPI_TICKS) {
            m->lapic = UINT32_MAX - lapic_timer_left();
            m->tsc = tsc - start_tsc;
            m->ns = (uint64_t)passed * NS_PER_S / ACPI_TIMER_HZ;
            return true;
        }
    }
    return false;
}

static bool measure_pit(struct measured *m)
{
    enum { GATE_PORT = 0x61, GATE = 1, SPEAKER = 2, OUTPUT = 0x20 };
    out8(GATE_PORT, (uint8_t)((in8(GATE_PORT) & ~SPEAKER) | GATE));
    out8(0x43, 0xb0); /* channel 2, both bytes, count once */
    out8(0x42, CALIBRATE_PIT_TICKS & 0xff);
    out8(0x42, CALIBRATE_PIT_TICKS >> 8);
    uint64_t start_tsc = arch_cycles();
    lapic_timer_start(UINT32_MAX);
    for (unsigned i = 0; i < SPIN_MAX; i++) {
        if ((in8(GATE_PORT) & OUTPUT) != 0) {
            m->tsc = arch_cycles() - start_tsc;
            m->lapic = UINT32_MAX - lapic_timer_left();
            m->ns = (uint64_t)CALIBRATE_PIT_TICKS * NS_PER_S / PIT_HZ;
            return true;
        }
    }
    return false;
}

void timer_calibrate(void)
{
    struct measured m = {0};
    bool ok = acpi.pm_timer_port != 0 && measure_acpi(&m);
    if (!ok) {
        ok = measure_pit(&m);
    }
    lapic_timer_start(0);
    if (!ok || m.tsc == 0 || m.ns == 0) {
        panic("no clock to measure the processor's by");
    }
    time_ns_per_tick_32 = (m.ns << 32) / m.tsc;
    tsc_per_ns_32 = (m.tsc << 32) / m.ns;
    lapic_per_ns_32 = (m.lapic << 32) / m.ns;
    time_tsc_base = 0; /* the counter starts at reset, and so does our time */
}

void timer_enable(void)
{
    lapic_timer_unmask(features.tsc_deadline);
}

static void arm_tsc(uint64_t deadline_ns)
{
    uint64_t tsc = deadline_ns == ARCH_TIME_NEVER ? 0 : scale_32(deadline_ns, tsc_per_ns_32) + 1;
    write_msr(MSR_TSC_DEADLINE, tsc + time_tsc_base);
}

static void arm_counter(uint64_t deadline_ns)
{
    uint64_t now = arch_time_ns();
    uint64_t ticks = 1;
    if (deadline_ns == ARCH_TIME_NEVER) {
        ticks = 0;
    } else if (deadline_ns > now) {
        uint64_t left = deadline_ns - now;
        ticks = scale_32(left < NS_PER_S ? left : NS_PER_S, lapic_per_ns_32) + 1;
    }
    lapic_timer_start(ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX);
}

void arch_timer_arm(uint64_t deadline_ns)
{
    if (features.tsc_deadline) {
        arm_tsc(deadline_ns);
    } else {
        arm_counter(deadline_ns);
    }
}

/* ---- battery clock ---- */

enum { RTC_INDEX = 0x70, RTC_DATA = 0x71, RTC_STATUS_A = 10, RTC_STATUS_B = 11, RTC_FIELDS = 6 };

static uint8_t rtc_read(uint8_t reg)
{
    out8(RTC_INDEX, reg);
    return in8(RTC_DATA);
}

static void rtc_fields(uint8_t *f)
{
    static const uint8_t registers[RTC_FIELDS] = {0, 2, 4, 7, 8, 9}; /* s min h day month year */
    for (unsigned i = 0; i < RTC_FIELDS; i++) {
        f[i] = rtc_read(registers[i]);
    }
}

static unsigned from_bcd(unsigned v)
{
    return (v >> 4) * 10 + (v & 15);
}

/* Two equal readings outside an update. */
static bool rtc_stable(uint8_t *f)
{
    enum { UPDATING = 0x80, TRIES = 1000 };
    for (unsigned i = 0; i < TRIES; i++) {
        uint8_t again[RTC_FIELDS];
        if ((rtc_read(RTC_STATUS_A) & UPDATING) != 0) {
            continue;
        }
        rtc_fields(f);
        rtc_fields(again);
        unsigned different = 0;
        for (unsigned j = 0; j < RTC_FIELDS; j++) {
            different |= f[j] ^ again[j];
        }
        if (different == 0 && (rtc_read(RTC_STATUS_A) & UPDATING) == 0) {
            return true;
        }
    }
    return false;
}

/* Days from 1970-01-01 to the first of a month in 2000 .. 2099, where every fourth year leaps. */
static uint64_t days_to(unsigned year, unsigned month)
{
    static const uint16_t before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    enum { DAYS_TO_2000 = 10957 };
    uint64_t leap_days = (year + 3) / 4 + (year % 4 == 0 && month > 2 ? 1 : 0);
    return DAYS_TO_2000 + (uint64_t)year * 365 + leap_days + before[month - 1];
}

uint64_t arch_wall_clock_s(void)
{
    enum { BINARY = 4, HOUR_24 = 2, PM = 0x80 };
    uint8_t f[RTC_FIELDS];
    unsigned v[RTC_FIELDS];
    if (!rtc_stable(f)) {
        return 0;
    }
    uint8_t mode = rtc_read(RTC_STATUS_B);
    bool pm = (mode & HOUR_24) == 0 && (f[2] & PM) != 0;
    f[2] &= (uint8_t)~PM;
    for (unsigned i = 0; i < RTC_FIELDS; i++) {
        v[i] = (mode & BINARY) != 0 ? f[i] : from_bcd(f[i]);
    }
    if ((mode & HOUR_24) == 0) {
        v[2] = v[2] % 12 + (pm ? 12 : 0);
    }
    if (v[0] > 59 || v[1] > 59 || v[2] > 23 || v[3] < 1 || v[3] > 31 || v[4] < 1 || v[4] > 12 ||
        v[5] > 99) {
        return 0;
    }
    uint64_t days = days_to(v[5], v[4]) + v[3] - 1;
    return ((days * 24 + v[2]) * 60 + v[1]) * 60 + v[0];
}
