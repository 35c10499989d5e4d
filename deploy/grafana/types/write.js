// Writes the dashboards as constants of their types, so that the compiler looks at every value.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";

const dashboards = new URL("../dashboards/", import.meta.url);
const lines = ['import type { Shown } from "../forms";'];
for (const file of readdirSync(dashboards).filter((name) => name.endsWith(".json")).sort()) {
  const { id: _, ...stored } = JSON.parse(readFileSync(new URL(file, dashboards), "utf8"));
  lines.push(`export const ${file.replace(".json", "")}: Shown = ${JSON.stringify(stored, null, 1)};`);
}
mkdirSync(new URL("build", import.meta.url), { recursive: true });
writeFileSync(new URL("build/dashboards.ts", import.meta.url), `${lines.join("\n")}\n`);
