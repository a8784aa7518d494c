// Gradio runs this as the body of a function when the component is mounted. It cannot serve ES modules to import, for it
// knows no address of them that holds behind every proxy and log-in, so they come as text and become modules here, each
// after those that it imports.

const addresses = {};
const SPECIFIER = /from "\.\/([\w-]+\.js)"/g;
for (const { name, source } of props.modules) {
  const resolved = source.replace(SPECIFIER, (_, imported) => `from "${addresses[imported]}"`);
  addresses[name] = URL.createObjectURL(new Blob([resolved], { type: "text/javascript" }));
}
import(addresses["main.js"])
  .then(({ mount }) => mount(element, props, server))
  .finally(() => Object.values(addresses).forEach(URL.revokeObjectURL));
