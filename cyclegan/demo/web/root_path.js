// Behind a reverse proxy that nobody told the server of, the page comes, but nothing that it asks for: it says so.
// Gradio runs this file as the body of a function when the component (element) is mounted.

const told = new URL(window.gradio_config.root, location.href).pathname.replace(/\/$/, "");
const here = location.pathname.replace(/\/$/, "");

async function check() {
  if (here === told) return;
  const answer = await fetch(`${told}/gradio_api/app_id`).catch(() => null);
  if (answer?.status !== 404) return;
  element.querySelector(".message").textContent =
    `This page was opened under ${here || "/"}, but its server believes it to be under ${told || "/"}, so nothing can be` +
    ` asked of it; start it with --root-path ${here || "/"}.`;
}
check();
