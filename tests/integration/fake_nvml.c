/* One pretended GPU behind NVML's interface, for machines without one. */
#include <string.h>

typedef struct { unsigned long long total, free, used; } memory_t;

int nvmlInit_v2(void) { return 0; }
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned int size) { strncpy(text, "570.86.10", size); return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    if (index > 0) return 2;
    *device = (void *)1;
    return 0;
}
int nvmlDeviceGetName(void *device, char *text, unsigned int size) {
    (void)device; strncpy(text, "Pretended GPU", size); return 0;
}
int nvmlDeviceGetUUID(void *device, char *text, unsigned int size) {
    (void)device; strncpy(text, "GPU-11111111-2222-3333-4444-555555555555", size); return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
    (void)device; memory->total = 6ULL << 30; memory->free = memory->total; memory->used = 0; return 0;
}
