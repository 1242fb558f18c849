// RUN: lockstep-opt %s -p set-precision | filecheck %s
// RUN: lockstep-opt %s -p "set-precision{matmul=f16}" | filecheck %s --check-prefix HALF
// RUN: lockstep-opt %s -p "set-precision{matmul=i8f16}" | filecheck %s --check-prefix HALF

// CHECK-LABEL: func.func @main
// HALF-LABEL: func.func @main
func.func @main() {
  %x = graph.input "x" : tensor<4x4xf32>
  %h = graph.input "h" : tensor<4x4xf16>
  // CHECK: graph.matmul %x, %x precision f32
  // HALF: graph.matmul %x, %x precision f16
  %a = graph.matmul %x, %x : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  // Not to be changed: a precision of its own; operands that are not f32.
  // CHECK: graph.matmul %x, %x transpose_b precision f16
  // CHECK: graph.matmul %x, %x precision f32
  // CHECK: graph.matmul %h, %h : (tensor<4x4xf16>
  // HALF: graph.matmul %x, %x transpose_b precision f16
  // HALF: graph.matmul %x, %x precision f32
  // HALF: graph.matmul %h, %h : (tensor<4x4xf16>
  %b = graph.matmul %x, %x transpose_b precision f16 : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %c = graph.matmul %x, %x precision f32 : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %d = graph.matmul %h, %h : (tensor<4x4xf16>, tensor<4x4xf16>) -> tensor<4x4xf32>
  // In f16 the rows of the product are divided, not the shares.
  // CHECK: %s = graph.softmax %x
  // CHECK-NEXT: %e = graph.matmul %s, %x precision f32
  // HALF: %[[E:.*]] = graph.unary exp
  // HALF-NEXT: %[[SUM:.*]] = graph.reduce sum %[[E]]
  // HALF-NEXT: %e = graph.matmul %[[E]], %x precision f16
  // HALF-NEXT: graph.binary div %e, %[[SUM]]
  %s = graph.softmax %x : tensor<4x4xf32>
  %e = graph.matmul %s, %x : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  graph.output "e" %e : tensor<4x4xf32>
  // Not so where others read the shares.
  // HALF: %t = graph.softmax
  // HALF-NEXT: graph.matmul %t, %x precision f16
  %t = graph.softmax %e : tensor<4x4xf32>
  %f = graph.matmul %t, %x : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  graph.output "t" %t : tensor<4x4xf32>
  graph.output "f" %f : tensor<4x4xf32>
  graph.output "d" %d : tensor<4x4xf32>
  func.return
}
