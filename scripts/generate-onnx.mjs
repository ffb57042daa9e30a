// Regenerates src/onnx/gen/onnx_pb.ts from src/onnx/onnx.proto (ONNX's own schema, as shipped in the
// PyPI package "onnx" 1.23.2). Needed only when the schema changes; the generated file is committed.
//
//   node scripts/generate-onnx.mjs [protoc]
//
// `protoc` is any protocol buffer compiler: Debian's protobuf-compiler (the default, found on PATH), or
// "python -m grpc_tools.protoc" of the PyPI package grpcio-tools.
import { execFileSync } from "node:child_process";

const [program, ...first] = (process.argv[2] ?? "protoc").split(" ");
const root = new URL("..", import.meta.url).pathname;
execFileSync(
  program,
  [
    ...first,
    `--plugin=protoc-gen-es=${root}node_modules/.bin/protoc-gen-es`,
    `--es_out=${root}src/onnx/gen`,
    "--es_opt=target=ts,import_extension=js",
    `--proto_path=${root}src/onnx`,
    "onnx.proto",
  ],
  { stdio: "inherit" },
);
