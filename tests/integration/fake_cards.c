/* Pretended cards behind NVML's interface: 0 is healthy; 1 is throttled, has no energy counter and
   a stranger on it; 2 is cut in slices (MIG); 3 fails every call but those that find it; 4 falls
   off the bus after its third look. */
#include <string.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, LOST = 15, UNKNOWN = 999 };
enum { HEALTHY, THROTTLED, SLICED, FAILING, VANISHING, CARDS };

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } rates_t;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gi, ci; } process_t;

static int places[CARDS + 1] = {0, 1, 2, 3, 4, 5};
static int looks;

static int at(void *device) { return *(int *)device; }
static int state(void *device) {
    if (at(device) == FAILING) return UNKNOWN;
    if (at(device) == VANISHING && looks > 3) return LOST;
    return OK;
}
static int tell(void *device, unsigned int *out, unsigned int value) { *out = value; return state(device); }

int nvmlInit_v2(void) { return OK; }
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return OK; }
int nvmlShutdown(void) { return OK; }
int nvmlSystemGetDriverVersion(char *text, unsigned int size) { strncpy(text, "570.86.10", size); return OK; }
int nvmlSystemGetCudaDriverVersion(int *version) { *version = 12080; return OK; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = CARDS; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    if (index >= CARDS) return NOT_FOUND;
    *device = &places[index];
    return OK;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    unsigned int index;
    if (sscanf(uuid, "GPU-%1u", &index) != 1) return NOT_FOUND;
    return nvmlDeviceGetHandleByIndex_v2(index, device);
}
int nvmlDeviceGetName(void *device, char *text, unsigned int size) {
    if (at(device) == CARDS) snprintf(text, size, "Pretended Card MIG 1g.10gb");
    else snprintf(text, size, "Pretended Card");
    return OK;
}
int nvmlDeviceGetUUID(void *device, char *text, unsigned int size) {
    snprintf(text, size, "GPU-%d1111111-2222-3333-4444-555555555555", at(device));
    return OK;
}
int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
    memory->total = 6ULL << 30; memory->used = 1ULL << 30; memory->free = memory->total - memory->used;
    return state(device);
}
int nvmlDeviceGetUtilizationRates(void *device, rates_t *rates) {
    looks += at(device) == VANISHING;
    rates->gpu = 95; rates->memory = 40;
    return state(device);
}
int nvmlDeviceGetPowerUsage(void *device, unsigned int *mw) { return tell(device, mw, 200000); }
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned int *c) {
    (void)sensor;
    return tell(device, c, at(device) == THROTTLED ? 91 : 70);
}
int nvmlDeviceGetClockInfo(void *device, int type, unsigned int *mhz) {
    return tell(device, mhz, type == 2 ? 7000 : at(device) == THROTTLED ? 900 : 1800);
}
int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *reasons) {
    *reasons = at(device) == THROTTLED ? 0x20 | 0x40 : 0x4;
    return state(device);
}
int nvmlDeviceGetCurrPcieLinkGeneration(void *device, unsigned int *g) { return tell(device, g, 4); }
int nvmlDeviceGetCurrPcieLinkWidth(void *device, unsigned int *w) {
    return tell(device, w, at(device) == THROTTLED ? 4 : 16);
}
int nvmlDeviceGetMaxPcieLinkGeneration(void *device, unsigned int *g) { return tell(device, g, 4); }
int nvmlDeviceGetMaxPcieLinkWidth(void *device, unsigned int *w) { return tell(device, w, 16); }
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj) {
    struct timespec now;
    if (at(device) == THROTTLED) return NOT_SUPPORTED;
    clock_gettime(CLOCK_MONOTONIC, &now); /* 100 W */
    *mj = now.tv_sec * 100000ULL + now.tv_nsec / 10000;
    return state(device);
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, process_t *found) {
    unsigned int room = *count, there = at(device) == THROTTLED ? 2 : 1;
    *count = there;
    if (state(device)) return state(device);
    if (room < there) return TOO_SMALL;
    memset(found, 0, there * sizeof *found);
    found[0].pid = getpid();
    if (there > 1) found[1].pid = 1;
    return OK;
}
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned int *mw) { return tell(device, mw, 160000); }
int nvmlDeviceGetPowerManagementLimitConstraints(void *device, unsigned int *low, unsigned int *high) {
    *low = 100000;
    return tell(device, high, 190000);
}
int nvmlDeviceGetVbiosVersion(void *device, char *text, unsigned int size) {
    snprintf(text, size, "90.06.3f");
    return state(device);
}
int nvmlDeviceGetMigMode(void *device, unsigned int *now, unsigned int *later) {
    if (at(device) == THROTTLED) return NOT_SUPPORTED;
    *later = at(device) == SLICED;
    return tell(device, now, at(device) == SLICED);
}
int nvmlDeviceIsMigDeviceHandle(void *device, unsigned int *is) { return tell(device, is, 0); }
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned int *count) { return tell(device, count, 7); }
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned int index, void **slice) {
    (void)device;
    if (index > 0) return NOT_FOUND;
    *slice = &places[CARDS];
    return OK;
}
