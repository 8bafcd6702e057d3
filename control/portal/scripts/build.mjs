// Bundles the page into `dist/site`, or with `--tests` the tests into `dist/test`.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

// Its other forms leave a process that outlives this one for a moment, and `cargo xtask` wants none to.
process.env.ESBUILD_WORKER_THREADS = "0";
const { buildSync } = await import("esbuild");

const root = fileURLToPath(new URL("..", import.meta.url));
const common = { absWorkingDir: root, bundle: true, format: "esm", logLevel: "warning", target: "es2022" };

function tests() {
  rmSync(`${root}dist/test`, { recursive: true, force: true });
  const entryPoints = readdirSync(`${root}test`).map((name) => `test/${name}`);
  buildSync({ ...common, entryPoints, outdir: "dist/test", outExtension: { ".js": ".mjs" }, platform: "node" });
}

function site() {
  rmSync(`${root}dist/site`, { recursive: true, force: true });
  const { metafile } = buildSync({
    ...common,
    entryPoints: ["src/main.tsx", "src/style.css"],
    // A name that says what is in the file, so that it can be kept for ever and a new one is asked for at once.
    entryNames: "[name]-[hash]",
    define: { "process.env.NODE_ENV": '"production"' },
    jsx: "automatic",
    legalComments: "linked",
    metafile: true,
    minify: true,
    outdir: "dist/site/assets",
  });
  let page = readFileSync(`${root}src/index.html`, "utf8");
  for (const [path, output] of Object.entries(metafile.outputs)) {
    if (output.entryPoint) {
      const { [output.entryPoint]: placeholder } = { "src/main.tsx": "main.js", "src/style.css": "style.css" };
      page = page.replace(`/assets/${placeholder}`, `/assets/${basename(path)}`);
    }
  }
  mkdirSync(`${root}dist/site`, { recursive: true });
  writeFileSync(`${root}dist/site/index.html`, page);
  const bytes = Object.values(metafile.outputs).reduce((sum, { bytes }) => sum + bytes, 0);
  console.log(`the portal: ${Object.keys(metafile.outputs).length + 1} files, ${Math.round(bytes / 1024)} KiB, in dist/site`);
}

process.argv.includes("--tests") ? tests() : site();
