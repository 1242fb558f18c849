// RUN: lockstep-opt %s | lockstep-opt | filecheck %s
// RUN: lockstep-opt %s --print-op-generic | lockstep-opt | filecheck %s

// Every operation, printed, parsed, and printed again in its own form and from the generic one.

func.func @main() {
  %0 = graph.input "x" : tensor<4x8xf32>
  %1 = graph.param "w" digest "0000000000000000000000000000000000000000000000000000000000000000" : tensor<6x8xf32>
  %2 = graph.matmul %0, %1 transpose_b precision f16 : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>
  %3 = graph.matmul %0, %1 transpose_b : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>
  %4 = graph.unary exp %2 : tensor<4x6xf32>
  %5 = graph.constant dense<[0.000000e+00, 1.000000e+00, 2.000000e+00, 3.000000e+00, 4.000000e+00, 5.000000e+00]> : tensor<6xf32>
  %6 = graph.constant dense<3> : tensor<i8>
  %7 = graph.constant dense<0.000000e+00> : tensor<30x10xf16>
  %8 = graph.binary add %4, %5 : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  %9 = graph.binary lt %4, %5 : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xi8>
  %10 = graph.where %9, %4, %8 : (tensor<4x6xi8>, tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %11 = graph.cast %4 : tensor<4x6xf32> -> tensor<4x6xi8>
  %12 = graph.constant dense<5.000000e-01> : tensor<f32>
  %13 = graph.quantize %4, %12 : (tensor<4x6xf32>, tensor<f32>) -> tensor<4x6xi8>
  %14 = graph.dequantize %13, %12 : (tensor<4x6xi8>, tensor<f32>) -> tensor<4x6xf32>
  %15 = graph.cast %13 : tensor<4x6xi8> -> tensor<4x6xi32>
  %16 = graph.requantize %15, %12 : (tensor<4x6xi32>, tensor<f32>) -> tensor<4x6xi8>
  %17 = graph.reduce sum %4 axes [1] keepdims : tensor<4x6xf32> -> tensor<4x1xf32>
  %18 = graph.reduce mean %4 axes [0, 1] : tensor<4x6xf32> -> tensor<f32>
  %19 = graph.softmax %4 : tensor<4x6xf32>
  %20 = graph.layernorm %4, %5, %5 eps 1.000000e-05 : (tensor<4x6xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  %21 = graph.rmsnorm %4, %5 eps 1.000000e-06 : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  %22 = graph.reshape %4 : tensor<4x6xf32> -> tensor<24xf32>
  %23 = graph.transpose %4 [1, 0] : tensor<4x6xf32> -> tensor<6x4xf32>
  %24 = graph.slice %4 offsets [0, 1] sizes [4, 2] strides [1, 2] : tensor<4x6xf32> -> tensor<4x2xf32>
  %25 = graph.concat %4, %4 axis 1 : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x12xf32>
  %26 = graph.pad %4 low [0, 1] high [1, 0] value(-1.500000e+00 : f32) : tensor<4x6xf32> -> tensor<5x7xf32>
  %27 = graph.pad %13 low [0, 1] high [1, 0] value(-3 : i8) : tensor<4x6xi8> -> tensor<5x7xi8>
  %28 = graph.constant dense<[1, 2]> : tensor<2xi32>
  %29 = graph.gather %4, %28 : (tensor<4x6xf32>, tensor<2xi32>) -> tensor<2x6xf32>
  %taken = graph.take %4 [5, 0, 0] : tensor<4x6xf32> -> tensor<4x3xf32>
  %30 = graph.slice %4 offsets [1, 0] sizes [1, 6] strides [1, 1] : tensor<4x6xf32> -> tensor<1x6xf32>
  %31 = graph.insert %30 into %4 offsets [2, 0] : (tensor<1x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %34 = graph.scatter %29 into %4 at %28 : (tensor<2x6xf32>, tensor<4x6xf32>, tensor<2xi32>) -> tensor<4x6xf32>
  %32 = graph.broadcast %5 : tensor<6xf32> -> tensor<3x6xf32>
  %i0 = graph.input "image" : tensor<5x6x4xi8>
  %i1 = graph.param "kernel" digest "0000000000000000000000000000000000000000000000000000000000000000" : tensor<3x3x2x8xi8>
  %i2 = graph.conv2d %i0, %i1 strides [2, 1] pads [0, 1, 0, 1] dilations [1, 1] groups 2 : (tensor<5x6x4xi8>, tensor<3x3x2x8xi8>) -> tensor<2x6x8xi32>
  %iw = graph.constant dense<1> : tensor<3x3x4xi8>
  %id = graph.depthwise %i0, %iw strides [2, 1] pads [0, 1, 0, 1] dilations [1, 1] : (tensor<5x6x4xi8>, tensor<3x3x4xi8>) -> tensor<2x6x4xi32>
  %i3 = graph.maxpool2d %i0 kernel [2, 2] strides [2, 2] pads [1, 0, 0, 0] dilations [1, 1] : tensor<5x6x4xi8> -> tensor<3x3x4xi8>
  %33 = graph.state "s" : tensor<4x6xf32>
  graph.update "s" %8 : tensor<4x6xf32>
  graph.output "y" %8 : tensor<4x6xf32>
  func.return
}

// CHECK: %{{.*}} = graph.input "x" : tensor<4x8xf32>
// CHECK-NEXT: %{{.*}} = graph.param "w" digest "0000000000000000000000000000000000000000000000000000000000000000" : tensor<6x8xf32>
// CHECK-NEXT: %{{.*}} = graph.matmul %{{.*}}, %{{.*}} transpose_b precision f16 : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>
// CHECK-NEXT: %{{.*}} = graph.matmul %{{.*}}, %{{.*}} transpose_b : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>
// CHECK-NEXT: %{{.*}} = graph.unary exp %{{.*}} : tensor<4x6xf32>
// CHECK-NEXT: %{{.*}} = graph.constant dense<[0.000000e+00, 1.000000e+00, 2.000000e+00, 3.000000e+00, 4.000000e+00, 5.000000e+00]> : tensor<6xf32>
// CHECK-NEXT: %{{.*}} = graph.constant dense<3> : tensor<i8>
// CHECK-NEXT: %{{.*}} = graph.constant dense<0.000000e+00> : tensor<30x10xf16>
// CHECK-NEXT: %{{.*}} = graph.binary add %{{.*}}, %{{.*}} : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
// CHECK-NEXT: %{{.*}} = graph.binary lt %{{.*}}, %{{.*}} : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xi8>
// CHECK-NEXT: %{{.*}} = graph.where %{{.*}}, %{{.*}}, %{{.*}} : (tensor<4x6xi8>, tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
// CHECK-NEXT: %{{.*}} = graph.cast %{{.*}} : tensor<4x6xf32> -> tensor<4x6xi8>
// CHECK-NEXT: %{{.*}} = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT: %{{.*}} = graph.quantize %{{.*}}, %{{.*}} : (tensor<4x6xf32>, tensor<f32>) -> tensor<4x6xi8>
// CHECK-NEXT: %{{.*}} = graph.dequantize %{{.*}}, %{{.*}} : (tensor<4x6xi8>, tensor<f32>) -> tensor<4x6xf32>
// CHECK-NEXT: %{{.*}} = graph.cast %{{.*}} : tensor<4x6xi8> -> tensor<4x6xi32>
// CHECK-NEXT: %{{.*}} = graph.requantize %{{.*}}, %{{.*}} : (tensor<4x6xi32>, tensor<f32>) -> tensor<4x6xi8>
// CHECK-NEXT: %{{.*}} = graph.reduce sum %{{.*}} axes [1] keepdims : tensor<4x6xf32> -> tensor<4x1xf32>
// CHECK-NEXT: %{{.*}} = graph.reduce mean %{{.*}} axes [0, 1] : tensor<4x6xf32> -> tensor<f32>
// CHECK-NEXT: %{{.*}} = graph.softmax %{{.*}} : tensor<4x6xf32>
// CHECK-NEXT: %{{.*}} = graph.layernorm %{{.*}}, %{{.*}}, %{{.*}} eps 1.000000e-05 : (tensor<4x6xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
// CHECK-NEXT: %{{.*}} = graph.rmsnorm %{{.*}}, %{{.*}} eps 1.000000e-06 : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
// CHECK-NEXT: %{{.*}} = graph.reshape %{{.*}} : tensor<4x6xf32> -> tensor<24xf32>
// CHECK-NEXT: %{{.*}} = graph.transpose %{{.*}} [1, 0] : tensor<4x6xf32> -> tensor<6x4xf32>
// CHECK-NEXT: %{{.*}} = graph.slice %{{.*}} offsets [0, 1] sizes [4, 2] strides [1, 2] : tensor<4x6xf32> -> tensor<4x2xf32>
// CHECK-NEXT: %{{.*}} = graph.concat %{{.*}}, %{{.*}} axis 1 : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x12xf32>
// CHECK-NEXT: %{{.*}} = graph.pad %{{.*}} low [0, 1] high [1, 0] value(-1.500000e+00 : f32) : tensor<4x6xf32> -> tensor<5x7xf32>
// CHECK-NEXT: %{{.*}} = graph.pad %{{.*}} low [0, 1] high [1, 0] value(-3 : i8) : tensor<4x6xi8> -> tensor<5x7xi8>
// CHECK-NEXT: %{{.*}} = graph.constant dense<[1, 2]> : tensor<2xi32>
// CHECK-NEXT: %{{.*}} = graph.gather %{{.*}}, %{{.*}} : (tensor<4x6xf32>, tensor<2xi32>) -> tensor<2x6xf32>
// CHECK-NEXT: %{{.*}} = graph.take %{{.*}} [5, 0, 0] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT: %{{.*}} = graph.slice %{{.*}} offsets [1, 0] sizes [1, 6] strides [1, 1] : tensor<4x6xf32> -> tensor<1x6xf32>
// CHECK-NEXT: %{{.*}} = graph.insert %{{.*}} into %{{.*}} offsets [2, 0] : (tensor<1x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
// CHECK-NEXT: %{{.*}} = graph.scatter %{{.*}} into %{{.*}} at %{{.*}} : (tensor<2x6xf32>, tensor<4x6xf32>, tensor<2xi32>) -> tensor<4x6xf32>
// CHECK-NEXT: %{{.*}} = graph.broadcast %{{.*}} : tensor<6xf32> -> tensor<3x6xf32>
// CHECK-NEXT: %{{.*}} = graph.input "image" : tensor<5x6x4xi8>
// CHECK-NEXT: %{{.*}} = graph.param "kernel" digest "0000000000000000000000000000000000000000000000000000000000000000" : tensor<3x3x2x8xi8>
// CHECK-NEXT: %{{.*}} = graph.conv2d %{{.*}}, %{{.*}} strides [2, 1] pads [0, 1, 0, 1] dilations [1, 1] groups 2 : (tensor<5x6x4xi8>, tensor<3x3x2x8xi8>) -> tensor<2x6x8xi32>
// CHECK-NEXT: %{{.*}} = graph.constant dense<1> : tensor<3x3x4xi8>
// CHECK-NEXT: %{{.*}} = graph.depthwise %{{.*}}, %{{.*}} strides [2, 1] pads [0, 1, 0, 1] dilations [1, 1] : (tensor<5x6x4xi8>, tensor<3x3x4xi8>) -> tensor<2x6x4xi32>
// CHECK-NEXT: %{{.*}} = graph.maxpool2d %{{.*}} kernel [2, 2] strides [2, 2] pads [1, 0, 0, 0] dilations [1, 1] : tensor<5x6x4xi8> -> tensor<3x3x4xi8>
// CHECK-NEXT: %{{.*}} = graph.state "s" : tensor<4x6xf32>
// CHECK-NEXT: graph.update "s" %{{.*}} : tensor<4x6xf32>
// CHECK-NEXT: graph.output "y" %{{.*}} : tensor<4x6xf32>
