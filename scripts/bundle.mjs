// Bundles each script and style sheet that a page asks for, with all that it imports, into one
// small file beside the sources: `npm run build`. Which those are needs no list: they are the
// ones that no other one imports.

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const SOURCES = "chat/static/chat";
const BUILT = `${SOURCES}/dist`;
const IMPORTS = [/(?:^|\s)import\s[^"';]*?["']\.\/([\w.-]+)["']/g, /@import\s+(?:url\()?["']([\w.-]+)["']/g];
// Before a page's first paint, and so not a module.
const CLASSIC = new Set(["theme.js"]);

const names = readdirSync(SOURCES).filter((name) => /\.(js|css)$/.test(name)).sort();
const texts = new Map(names.map((name) => [name, readFileSync(`${SOURCES}/${name}`)]));
const imported = new Set();
for (const [name, text] of texts) {
  const source = String(text).replace(/^\s*(\/\/|\*).*$/gm, "");
  for (const match of source.matchAll(IMPORTS[name.endsWith(".css") ? 1 : 0])) imported.add(match[1]);
}
const roots = names.filter((name) => !imported.has(name));

rmSync(BUILT, { recursive: true, force: true });
mkdirSync(BUILT, { recursive: true });
const options = { bundle: true, minify: true, target: "es2022", legalComments: "linked", outdir: BUILT };
const path = (name) => `${SOURCES}/${name}`;
const classic = (name) => CLASSIC.has(name);
await build({ ...options, entryPoints: roots.filter((name) => !classic(name)).map(path), format: "esm" });
await build({ ...options, entryPoints: roots.filter(classic).map(path), format: "iife" });

for (const name of readdirSync(BUILT).filter((each) => /\.(js|css)$/.test(each))) {
  const bytes = readFileSync(`${BUILT}/${name}`);
  writeFileSync(`${BUILT}/${name}.gz`, gzipSync(bytes, { level: 9 }));
  writeFileSync(`${BUILT}/${name}.br`, brotliCompressSync(bytes));
}

// The site compares this with the sources that it has (chat/assets.py).
const digest = createHash("sha256");
for (const [name, text] of texts) digest.update(`${name}\0${text.length}\0`).update(text);
writeFileSync(`${BUILT}/sources`, digest.digest("hex"));
