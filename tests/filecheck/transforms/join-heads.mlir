// RUN: lockstep-opt %s -p join-heads --chip tsp | filecheck %s

// Two heads of 16 columns are one product in groups. Those of values get further columns, of ones, so that windows
// of two divide a vector; what these give are the sums of the shares. What no head has meets zeros in the projection behind.
// CHECK: %[[X:.*]] = graph.input "x"
// CHECK: %[[Q:.*]] = graph.cast %{{.*}} : tensor<32x32xi32> -> tensor<32x32xi8>
// CHECK: graph.matmul %[[X]], %{{.*}} : (tensor<32x8xi8>, tensor<8x64xi8>) -> tensor<32x64xi32>
// CHECK: graph.binary add
// CHECK: %[[V:.*]] = graph.cast %{{.*}} : tensor<32x64xi32> -> tensor<32x64xi8>
// CHECK: graph.reshape %[[Q]] : tensor<32x32xi8> -> tensor<32x1x32xi8>
// CHECK: %[[S:.*]] = graph.matmul %[[A:.*]], %[[A]] transpose_b groups 2 : (tensor<1x32x32xi8>, tensor<1x32x32xi8>) -> tensor<1x32x64xi32>
// CHECK: %[[E:.*]] = graph.cast %[[S]] : tensor<1x32x64xi32> -> tensor<1x32x64xi8>
// CHECK: graph.reshape %[[V]] : tensor<32x64xi8> -> tensor<32x1x64xi8>
// CHECK: %[[O:.*]] = graph.matmul %[[E]], %{{.*}} groups 2 : (tensor<1x32x64xi8>, tensor<1x32x64xi8>) -> tensor<1x32x64xi32>
// CHECK: %[[T:.*]] = graph.take %[[O]] [16, 16
// CHECK: graph.binary max %[[O]], %[[T]]
// CHECK: graph.reshape %{{.*}} : tensor<32x1x64xi8> -> tensor<32x64xi8>
// CHECK-NEXT: %y = graph.matmul %{{.*}}, %{{.*}} : (tensor<32x64xi8>, tensor<64x4xi8>) -> tensor<32x4xi32>
func.func @main() {
  %x = graph.input "x" : tensor<32x8xi8>
  %w = graph.constant dense<3> : tensor<8x32xi8>
  %bias = graph.constant dense<5> : tensor<32xi32>
  %qw = graph.matmul %x, %w : (tensor<32x8xi8>, tensor<8x32xi8>) -> tensor<32x32xi32>
  %q = graph.cast %qw : tensor<32x32xi32> -> tensor<32x32xi8>
  %vw = graph.matmul %x, %w : (tensor<32x8xi8>, tensor<8x32xi8>) -> tensor<32x32xi32>
  %vb = graph.binary add %vw, %bias : (tensor<32x32xi32>, tensor<32xi32>) -> tensor<32x32xi32>
  %v = graph.cast %vb : tensor<32x32xi32> -> tensor<32x32xi8>
  %q2 = graph.reshape %q : tensor<32x32xi8> -> tensor<32x2x16xi8>
  %q3 = graph.transpose %q2 [1, 0, 2] : tensor<32x2x16xi8> -> tensor<2x32x16xi8>
  %v2 = graph.reshape %v : tensor<32x32xi8> -> tensor<32x2x16xi8>
  %v3 = graph.transpose %v2 [1, 0, 2] : tensor<32x2x16xi8> -> tensor<2x32x16xi8>
  %s = graph.matmul %q3, %q3 transpose_b : (tensor<2x32x16xi8>, tensor<2x32x16xi8>) -> tensor<2x32x32xi32>
  %e = graph.cast %s : tensor<2x32x32xi32> -> tensor<2x32x32xi8>
  %one = graph.constant dense<1> : tensor<32x1xi8>
  %sum = graph.matmul %e, %one : (tensor<2x32x32xi8>, tensor<32x1xi8>) -> tensor<2x32x1xi32>
  %o = graph.matmul %e, %v3 : (tensor<2x32x32xi8>, tensor<2x32x16xi8>) -> tensor<2x32x16xi32>
  %m = graph.binary max %o, %sum : (tensor<2x32x16xi32>, tensor<2x32x1xi32>) -> tensor<2x32x16xi32>
  %b = graph.cast %m : tensor<2x32x16xi32> -> tensor<2x32x16xi8>
  %t = graph.transpose %b [1, 0, 2] : tensor<2x32x16xi8> -> tensor<32x2x16xi8>
  %r = graph.reshape %t : tensor<32x2x16xi8> -> tensor<32x32xi8>
  %p = graph.constant dense<2> : tensor<32x4xi8>
  %y = graph.matmul %r, %p : (tensor<32x32xi8>, tensor<32x4xi8>) -> tensor<32x4xi32>
  graph.output "y" %y : tensor<32x4xi32>
  func.return
}
