// Makes hello-js.wasm of hello.js. The engine speaks WASI 0.2.10; jco brings the WIT of 0.2.12, which says the same.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const from = "node_modules/@bytecodealliance/jco/lib/wit/builtin/0.2.12";
await mkdir("wit/deps", { recursive: true });
for (const name of ["http", "io", "clocks", "cli", "random", "filesystem", "sockets"]) {
  const text = await readFile(`${from}/wasi-${name}/package.wit`, "utf8");
  await writeFile(`wit/deps/${name}.wit`, text.replaceAll("0.2.12", "0.2.10"));
}
const world = `package bench:js;
world hello { import wasi:http/types@0.2.10; export wasi:http/incoming-handler@0.2.10; }
`;
await writeFile("wit/world.wit", world);
const source = await readFile("hello.js", "utf8");
const { component } = await componentize(source, { witPath: "wit", worldName: "hello" });
await writeFile("hello-js.wasm", component);
