// RUN: lockstep-opt %s -p decompose | filecheck %s

// CHECK-LABEL: func.func @main
// CHECK-NEXT: %x = graph.input "x"
// CHECK-NEXT: %s = graph.input "s"
func.func @main() {
  %x = graph.input "x" : tensor<4x8xf16>
  %s = graph.input "s" : tensor<f32>

  // Softmax computes in f32 and rounds once.
  // CHECK-NEXT: %[[X:.*]] = graph.cast %x : tensor<4x8xf16> -> tensor<4x8xf32>
  // CHECK-NEXT: %[[M:.*]] = graph.reduce max %[[X]] axes [1] keepdims : tensor<4x8xf32> -> tensor<4x1xf32>
  // CHECK-NEXT: %[[D:.*]] = graph.binary sub %[[X]], %[[M]]
  // CHECK-NEXT: %[[E:.*]] = graph.unary exp %[[D]]
  // CHECK-NEXT: %[[T:.*]] = graph.reduce sum %[[E]] axes [1] keepdims
  // CHECK-NEXT: %[[R:.*]] = graph.unary recip %[[T]]
  // CHECK-NEXT: %[[P:.*]] = graph.binary mul %[[E]], %[[R]]
  // CHECK-NEXT: %[[Y:.*]] = graph.cast %[[P]] : tensor<4x8xf32> -> tensor<4x8xf16>
  // CHECK-NEXT: graph.output "a" %[[Y]]
  %a = graph.softmax %x : tensor<4x8xf16>
  graph.output "a" %a : tensor<4x8xf16>

  // Relu keeps its type.
  // CHECK-NEXT: %[[Z:.*]] = graph.constant dense<0.000000e+00> : tensor<f16>
  // CHECK-NEXT: %[[U:.*]] = graph.binary max %x, %[[Z]]
  // CHECK-NEXT: graph.output "b" %[[U]]
  %b = graph.unary relu %x : tensor<4x8xf16>
  graph.output "b" %b : tensor<4x8xf16>

  // CHECK-NEXT: %[[F:.*]] = graph.cast %x
  // CHECK-NEXT: %[[I:.*]] = graph.unary recip %s
  // CHECK-NEXT: %[[Q:.*]] = graph.binary mul %[[F]], %[[I]]
  // CHECK-NEXT: %[[B:.*]] = graph.cast %[[Q]] : tensor<4x8xf32> -> tensor<4x8xi8>
  // CHECK-NEXT: graph.output "c" %[[B]]
  %c = graph.quantize %x, %s : (tensor<4x8xf16>, tensor<f32>) -> tensor<4x8xi8>
  graph.output "c" %c : tensor<4x8xi8>

  // The mean of i8 sums in i32.
  // CHECK-NEXT: %[[S:.*]] = graph.reduce sum %[[B]] axes [0] : tensor<4x8xi8> -> tensor<8xi32>
  // CHECK-NEXT: %[[G:.*]] = graph.cast %[[S]] : tensor<8xi32> -> tensor<8xf32>
  // CHECK-NEXT: %[[N:.*]] = graph.constant dense<2.500000e-01> : tensor<f32>
  // CHECK-NEXT: %[[H:.*]] = graph.binary mul %[[G]], %[[N]]
  // CHECK-NEXT: graph.output "d" %[[H]]
  %d = graph.reduce mean %c axes [0] : tensor<4x8xi8> -> tensor<8xf32>
  graph.output "d" %d : tensor<8xf32>

  // An f32 product is three f16 products, or one in the precision f16.
  // CHECK-NEXT: %w = graph.param "w"
  // CHECK-NEXT: %v = graph.input "v"
  // CHECK-COUNT-3: graph.matmul %{{.*}}, %{{.*}} transpose_b : (tensor<4x8xf16>, tensor<6x8xf16>) -> tensor<4x6xf32>
  // CHECK: graph.output "e"
  // CHECK-NEXT: %[[J:.*]] = graph.cast %v : tensor<4x8xf32> -> tensor<4x8xf16>
  // CHECK-NEXT: %[[K:.*]] = graph.cast %w : tensor<6x8xf32> -> tensor<6x8xf16>
  // CHECK-NEXT: %[[L:.*]] = graph.matmul %[[J]], %[[K]] transpose_b :
  // CHECK-NEXT: graph.output "f" %[[L]]
  %w = graph.param "w" digest "00" : tensor<6x8xf32>
  %v = graph.input "v" : tensor<4x8xf32>
  %e = graph.matmul %v, %w transpose_b : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>
  graph.output "e" %e : tensor<4x6xf32>
  %f = graph.matmul %v, %w transpose_b precision f16 : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>
  graph.output "f" %f : tensor<4x6xf32>

  // Primitive already: nothing changes.
  // CHECK-NEXT: %g = graph.unary exp %x : tensor<4x8xf16>
  // CHECK-NEXT: %h = graph.binary add %g, %x
  // CHECK-NEXT: %i = graph.reduce sum %h axes [0, 1]
  // CHECK-NEXT: graph.output "i" %i
  %g = graph.unary exp %x : tensor<4x8xf16>
  %h = graph.binary add %g, %x : (tensor<4x8xf16>, tensor<4x8xf16>) -> tensor<4x8xf16>
  %i = graph.reduce sum %h axes [0, 1] : tensor<4x8xf16> -> tensor<f32>
  graph.output "i" %i : tensor<f32>
  func.return
}
