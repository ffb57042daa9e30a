import { create } from "@bufbuild/protobuf";
import { allocate, type DType, type NdArray, sizeOf } from "../core/array.js";
import { TensorProto_DataType as DataType, type TensorProto, TensorProtoSchema } from "./gen/onnx_pb.js";

/** ONNX element types of our dtypes. */
export const onnxTypes: { readonly [D in DType]: DataType } = {
  float32: DataType.FLOAT,
  float64: DataType.DOUBLE,
  int32: DataType.INT32,
  int64: DataType.INT64,
  bool: DataType.BOOL,
};

/** As many dimensions as numpy has; more are a damaged file. */
export const MAX_RANK = 64;

const BYTES_PER_ELEMENT: { readonly [D in DType]: number } = {
  float32: 4,
  float64: 8,
  int32: 4,
  int64: 8,
  bool: 1,
};

const dtypes = new Map<number, DType>(
  Object.entries(onnxTypes).map(([dtype, type]) => [type, dtype as DType]),
);

/** Our dtype of an ONNX element type; undefined if we have none. */
export function dtypeOf(type: number): DType | undefined {
  return dtypes.get(type);
}

/** ONNX's name of an element type ("FLOAT16"), for messages. */
export function typeName(type: number): string {
  return DataType[type] ?? `type ${type}`;
}

/** A named tensor literal; its elements are stored as raw little-endian bytes. */
export function encodeArray(name: string, { dtype, shape, data }: NdArray): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dataType: onnxTypes[dtype],
    dims: shape.map(BigInt),
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
}

/**
 * The array of a tensor literal, copied.
 *
 * @returns the array, or a phrase that says what is wrong with it
 */
export function decodeArray(tensor: TensorProto, byteLimit: number): NdArray | string {
  if (tensor.dataLocation !== 0 || tensor.externalData.length > 0) {
    return "its data lies in another file (external data), which is not read; save the model as one file";
  }
  const dtype = dtypeOf(tensor.dataType);
  if (dtype === undefined) {
    return `its element type is ${typeName(tensor.dataType)}, expected one of ${[...dtypes.values()].join(", ")}`;
  }
  if (tensor.dims.length > MAX_RANK) {
    return `it has ${tensor.dims.length} dimensions, expected at most ${MAX_RANK}`;
  }
  const shape = tensor.dims.map(Number);
  const size = sizeOf(shape);
  // No file holds more elements than bytes, so a larger count is a lie.
  if (shape.some((d) => d < 0 || !Number.isSafeInteger(d)) || !(size <= byteLimit)) {
    return `its shape [${shape.join(", ")}] cannot be that of its data`;
  }
  const typed = {
    float32: tensor.floatData,
    float64: tensor.doubleData,
    int32: tensor.int32Data,
    int64: tensor.int64Data,
    bool: tensor.int32Data,
  }[dtype];
  const raw = tensor.rawData;
  const byteLength = size * BYTES_PER_ELEMENT[dtype];
  if (raw.length > 0 && raw.length !== byteLength) {
    return `it has ${raw.length} bytes of data, expected ${byteLength} for shape [${shape.join(", ")}]`;
  }
  if (raw.length === 0 && typed.length !== size) {
    return `it has ${typed.length} elements, expected ${size} for shape [${shape.join(", ")}]`;
  }
  // Allocated only now: the file holds as much.
  const data = allocate(dtype, size);
  if (raw.length > 0) new Uint8Array(data.buffer).set(raw);
  else for (let i = 0; i < size; i++) data[i] = typed[i]!;
  if (dtype === "bool") for (let i = 0; i < size; i++) data[i] = data[i] === 0 ? 0 : 1;
  return { dtype, shape, data };
}
