// RUN: lockstep-opt %s -p canonicalize-graph | filecheck %s

// One transpose is left of two, one reshape of two, and what is unused goes.
// CHECK-LABEL: func.func @main
// CHECK-NEXT: %x = graph.input "x" : tensor<2x3x4xf16>
// CHECK-NEXT: %unused = graph.input "unused"
// CHECK-NEXT: %[[T:.*]] = graph.transpose %x [2, 1, 0]
// CHECK-NEXT: %[[R:.*]] = graph.reshape %[[T]] : tensor<4x3x2xf16> -> tensor<24xf16>
// CHECK-NEXT: %[[S:.*]] = graph.slice %[[R]] offsets [5] sizes [3] strides [6] : tensor<24xf16> -> tensor<3xf16>
// CHECK-NEXT: graph.output "moved" %[[S]]
func.func @main() {
  %x = graph.input "x" : tensor<2x3x4xf16>
  %unused = graph.input "unused" : tensor<2xf16>
  %dead = graph.unary exp %x : tensor<2x3x4xf16>
  %t = graph.transpose %x [0, 2, 1] : tensor<2x3x4xf16> -> tensor<2x4x3xf16>
  %u = graph.transpose %t [1, 2, 0] : tensor<2x4x3xf16> -> tensor<4x3x2xf16>
  %r = graph.reshape %u : tensor<4x3x2xf16> -> tensor<6x4xf16>
  %s = graph.reshape %r : tensor<6x4xf16> -> tensor<24xf16>
  %v = graph.slice %s offsets [1] sizes [11] strides [2] : tensor<24xf16> -> tensor<11xf16>
  %w = graph.slice %v offsets [2] sizes [3] strides [3] : tensor<11xf16> -> tensor<3xf16>
  %p = graph.pad %w low [0] high [0] value(0.0 : f16) : tensor<3xf16> -> tensor<3xf16>
  graph.output "moved" %p : tensor<3xf16>

  // A bound on a float that is rounded to an integer bounds the integer; one that the integer cannot pass is none. A bound
  // that a NaN would pass stays.
  // CHECK-NEXT: %clip = graph.input "clip"
  // CHECK-NEXT: %[[I:.*]] = graph.cast %clip : tensor<4xf32> -> tensor<4xi8>
  // CHECK-NEXT: %[[Z:.*]] = graph.constant dense<0> : tensor<i8>
  // CHECK-NEXT: %[[C:.*]] = graph.binary max %[[I]], %[[Z]]
  // CHECK-NEXT: graph.output "clip" %[[C]]
  // CHECK-NEXT: %[[ONE:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
  // CHECK-NEXT: %[[M:.*]] = graph.binary max %clip, %[[ONE]]
  // CHECK-NEXT: %[[K:.*]] = graph.cast %[[M]]
  // CHECK-NEXT: graph.output "kept" %[[K]]
  %clip = graph.input "clip" : tensor<4xf32>
  %zero = graph.constant dense<0.0> : tensor<f32>
  %most = graph.constant dense<127.2> : tensor<f32>
  %m0 = graph.binary max %clip, %zero : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %m1 = graph.binary min %m0, %most : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %mi = graph.cast %m1 : tensor<4xf32> -> tensor<4xi8>
  graph.output "clip" %mi : tensor<4xi8>
  %one = graph.constant dense<1.0> : tensor<f32>
  %k0 = graph.binary max %clip, %one : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %ki = graph.cast %k0 : tensor<4xf32> -> tensor<4xi8>
  graph.output "kept" %ki : tensor<4xi8>

  // A transpose that moves only an axis of size 1 is a reshape.
  // CHECK-NEXT: %flat = graph.input "flat"
  // CHECK-NEXT: %[[F:.*]] = graph.reshape %flat : tensor<1x1x9xi8> -> tensor<9x1xi8>
  // CHECK-NEXT: graph.output "flat" %[[F]]
  %flat = graph.input "flat" : tensor<1x1x9xi8>
  %ft = graph.transpose %flat [2, 0, 1] : tensor<1x1x9xi8> -> tensor<9x1x1xi8>
  %fr = graph.reshape %ft : tensor<9x1x1xi8> -> tensor<9x1xi8>
  graph.output "flat" %fr : tensor<9x1xi8>

  // A product reads its right operand transposed; a binary operation broadcasts by itself.
  // CHECK-NEXT: %a = graph.input "a"
  // CHECK-NEXT: %b = graph.input "b"
  // CHECK-NEXT: %m = graph.matmul %a, %b transpose_b : (tensor<4x8xi8>, tensor<5x8xi8>) -> tensor<4x5xi32>
  // CHECK-NEXT: %c = graph.input "c"
  // CHECK-NEXT: %n = graph.binary add %m, %c : (tensor<4x5xi32>, tensor<5xi32>) -> tensor<4x5xi32>
  // CHECK-NEXT: graph.output "n" %n
  %a = graph.input "a" : tensor<4x8xi8>
  %b = graph.input "b" : tensor<5x8xi8>
  %bt = graph.transpose %b [1, 0] : tensor<5x8xi8> -> tensor<8x5xi8>
  %m = graph.matmul %a, %bt : (tensor<4x8xi8>, tensor<8x5xi8>) -> tensor<4x5xi32>
  %c = graph.input "c" : tensor<5xi32>
  %cb = graph.broadcast %c : tensor<5xi32> -> tensor<4x5xi32>
  %n = graph.binary add %m, %cb : (tensor<4x5xi32>, tensor<4x5xi32>) -> tensor<4x5xi32>
  graph.output "n" %n : tensor<4x5xi32>

  // i8 to f32 to f16 is one exact step; f32 to f16 to f32 rounds and stays; f16 to f32 and back would lose a NaN's payload.
  // CHECK-NEXT: %h = graph.cast %a : tensor<4x8xi8> -> tensor<4x8xf16>
  // CHECK-NEXT: graph.output "h" %h
  // CHECK-NEXT: %f32 = graph.input "f32"
  // CHECK-NEXT: %round = graph.cast %f32
  // CHECK-NEXT: %rounded = graph.cast %round
  // CHECK-NEXT: graph.output "rounded" %rounded
  // CHECK-NEXT: %wider = graph.cast %x : tensor<2x3x4xf16> -> tensor<2x3x4xf32>
  // CHECK-NEXT: %back = graph.cast %wider : tensor<2x3x4xf32> -> tensor<2x3x4xf16>
  // CHECK-NEXT: graph.output "back" %back
  %i = graph.cast %a : tensor<4x8xi8> -> tensor<4x8xi32>
  %f = graph.cast %i : tensor<4x8xi32> -> tensor<4x8xf32>
  %g = graph.cast %f : tensor<4x8xf32> -> tensor<4x8xf32>
  %h = graph.cast %g : tensor<4x8xf32> -> tensor<4x8xf16>
  graph.output "h" %h : tensor<4x8xf16>
  %f32 = graph.input "f32" : tensor<4xf32>
  %round = graph.cast %f32 : tensor<4xf32> -> tensor<4xf16>
  %rounded = graph.cast %round : tensor<4xf16> -> tensor<4xf32>
  graph.output "rounded" %rounded : tensor<4xf32>
  %wider = graph.cast %x : tensor<2x3x4xf16> -> tensor<2x3x4xf32>
  %back = graph.cast %wider : tensor<2x3x4xf32> -> tensor<2x3x4xf16>
  graph.output "back" %back : tensor<2x3x4xf16>

  // Nothing to do here: the broadcast gives the shape.
  // CHECK-NEXT: %[[W:.*]] = graph.broadcast %c : tensor<5xi32> -> tensor<2x5xi32>
  // CHECK-NEXT: graph.binary mul %[[W]], %c
  %wide = graph.broadcast %c : tensor<5xi32> -> tensor<2x5xi32>
  %q = graph.binary mul %wide, %c : (tensor<2x5xi32>, tensor<5xi32>) -> tensor<2x5xi32>
  graph.output "q" %q : tensor<2x5xi32>

  // What narrows, or treats every element alike, comes before a movement; a product reads its right operand from before the last
  // axis became the one before it.
  // CHECK: %whole = graph.input "whole"
  // CHECK-NEXT: %[[SCALED:.*]] = graph.binary mul %whole, %scale
  // CHECK-NEXT: %[[NARROW:.*]] = graph.cast %[[SCALED]] : tensor<3x8xf32> -> tensor<3x8xi8>
  // CHECK-NEXT: %[[SPLIT:.*]] = graph.reshape %[[NARROW]] : tensor<3x8xi8> -> tensor<3x2x4xi8>
  // CHECK: %[[HEADS:.*]] = graph.transpose %[[SPLIT]] [1, 0, 2]
  // CHECK: graph.matmul %{{.*}}, %[[HEADS]] transpose_b
  %scale = graph.constant dense<2.5> : tensor<f32>
  %whole = graph.input "whole" : tensor<3x8xf32>
  %split = graph.reshape %whole : tensor<3x8xf32> -> tensor<3x2x4xf32>
  %heads = graph.transpose %split [1, 2, 0] : tensor<3x2x4xf32> -> tensor<2x4x3xf32>
  %scaled = graph.binary mul %heads, %scale : (tensor<2x4x3xf32>, tensor<f32>) -> tensor<2x4x3xf32>
  %narrow = graph.cast %scaled : tensor<2x4x3xf32> -> tensor<2x4x3xi8>
  %query = graph.input "query" : tensor<2x5x4xi8>
  %scores = graph.matmul %query, %narrow : (tensor<2x5x4xi8>, tensor<2x4x3xi8>) -> tensor<2x5x3xi32>
  graph.output "scores" %scores : tensor<2x5x3xi32>

  // A fold of the last axis comes before a reshape that keeps it; one of other axes does not.
  // CHECK: %[[FOLD:.*]] = graph.reduce max %query axes [2] keepdims : tensor<2x5x4xi8> -> tensor<2x5x1xi8>
  // CHECK-NEXT: %{{.*}} = graph.reshape %[[FOLD]] : tensor<2x5x1xi8> -> tensor<10x1xi8>
  // CHECK: graph.reduce max %{{.*}} axes [0] keepdims : tensor<10x4xi8> -> tensor<1x4xi8>
  %rows = graph.reshape %query : tensor<2x5x4xi8> -> tensor<10x4xi8>
  %peaks = graph.reduce max %rows axes [1] keepdims : tensor<10x4xi8> -> tensor<10x1xi8>
  %peak = graph.reduce max %rows axes [0] keepdims : tensor<10x4xi8> -> tensor<1x4xi8>
  graph.output "peaks" %peaks : tensor<10x1xi8>
  graph.output "peak" %peak : tensor<1x4xi8>
  func.return
}
