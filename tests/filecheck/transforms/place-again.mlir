// RUN: lockstep-opt %s --chip tiny -p schedule | filecheck %s --check-prefix ONCE
// RUN: lockstep-opt %s --chip tiny -p schedule,place-again | filecheck %s
// RUN: lockstep-opt %s --chip tiny -p "schedule,place-again{rounds=0}" | filecheck %s --check-prefix ONCE

// Both trips read the same slice, so the second waits for the first. They depend on nothing, so both could have started at
// once: the next time they read different slices, and do.
// ONCE: flow.trip "first" start 0 slots ["sram.w1.rd"
// ONCE: flow.trip "second" start {{[1-9][0-9]*}} slots ["sram.w1.rd"
// CHECK: flow.trip "first" start 0 slots ["[[SLICE:.*]].rd", "{{.*}}.wr"] streams
// CHECK: flow.trip "second" start 0 slots
// CHECK-NOT: "[[SLICE]].rd"
// CHECK: streams
flow.program lanes 8 {
  flow.buffer @a input in sram stripes 1 segments [0] at ["sram.w1"] slices [0] bases [0] : tensor<32x8xi8>
  flow.buffer @b output in sram stripes 1 segments [0] at ["sram.e4"] slices [0] bases [0] : tensor<32x8xi8>
  flow.buffer @c input in sram stripes 1 segments [0] at ["sram.w1"] slices [0] bases [32] : tensor<32x8xi8>
  flow.buffer @d output in sram stripes 1 segments [0] at ["sram.e2"] slices [0] bases [0] : tensor<32x8xi8>
  flow.trip "first" {
    %x = flow.read @a tile 0 row 0 step 1 count 32 : !flow.stream<i8, 32, 1, 1>
    flow.write %x to @b tile 0 row 0 step 1 count 32 every 1 : !flow.stream<i8, 32, 1, 1>
  }
  flow.trip "second" {
    %x = flow.read @c tile 0 row 0 step 1 count 32 : !flow.stream<i8, 32, 1, 1>
    flow.write %x to @d tile 0 row 0 step 1 count 32 every 1 : !flow.stream<i8, 32, 1, 1>
  }
}
