// Puts Relay's compiled documents where the source has them as text, as a bundler with Relay's plugin would do.
import { readdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { transformFileSync } from "@babel/core";
import relay from "babel-plugin-relay";

/** Node wants the whole name of a file, which bundlers do without. */
const extended = () => ({
  visitor: {
    ImportDeclaration({ node: { source } }) {
      if (source.value.endsWith(".graphql")) source.value += ".js";
    },
  },
});

const folder = resolve("__generated__/js/relay");
const options = { eagerEsModules: true, artifactDirectory: resolve("__generated__/js/__generated__/relay") };
for (const name of readdirSync(folder).filter((each) => each.endsWith(".js"))) {
  const path = resolve(folder, name);
  const { code } = transformFileSync(path, { configFile: false, plugins: [[relay, options], extended] });
  writeFileSync(path, code);
}
