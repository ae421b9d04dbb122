/* Functions that call back, each with a frame of another kind. */
#include <alloca.h>
#include <stddef.h>
typedef void call_back(void *);

void plain(call_back *call, void *data, size_t size) {
    volatile char space[24];
    space[0] = size;
    call(data);
    space[1] = space[0];
}
void with_alloca(call_back *call, void *data, size_t size) {
    volatile char *space = alloca(size);
    space[0] = space[size - 1] = 1;
    call(data);
    space[0] = space[size - 1];
}
void with_array(call_back *call, void *data, size_t size) {
    for (size_t round = 1; round < 3; round++) {
        volatile char space[size / round + 1];
        space[0] = space[size / round] = 1;
        if (round == 2) call(data);
        space[0] = space[size / round];
    }
}
struct large { char bytes[700]; };
static __attribute__((noinline)) char by_value(struct large large, call_back *call, void *data) {
    call(data);
    return large.bytes[large.bytes[0]];
}
void with_arguments_on_the_stack(call_back *call, void *data, size_t size) {
    struct large large = { { 2, 1, size } };
    volatile char kept = by_value(large, call, data);
    kept = kept + 1;
}
void in_the_end(call_back *call, void *data, size_t size) {
    call(data);
}
void aligned(call_back *call, void *data, size_t size) {
    volatile char space[64] __attribute__((aligned(64)));
    space[size % 64] = 1;
    call(data);
    space[0] = space[size % 64];
}
