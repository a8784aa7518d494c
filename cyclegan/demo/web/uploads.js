// Gradio turns away, with a notice in the corner, what does not look like a picture. Here every file goes to the server,
// which says under the input what is wrong with it; the first kilobyte is enough for that.
// Gradio runs this file as the body of a function when the component (element) is mounted.

const panel = element.closest('[role="tabpanel"]');

// Browsers give the camera and the clipboard to secure pages alone, which plain http under a name of the LAN is not.
if (!window.isSecureContext) panel.dataset.insecure = "";

const asPicture = (file) =>
  file.type.startsWith("image/") ? file : new File([file.slice(0, 1024)], file.name, { type: "image/png" });

function give(input, files) {
  const transfer = new DataTransfer();
  [...files].map(asPicture).forEach((file) => transfer.items.add(file));
  input.files = transfer.files;
}

const pictureInput = (target) => target.closest(".pictures")?.querySelector('input[type="file"]');

panel.addEventListener(
  "change",
  ({ target }) => {
    if (target === pictureInput(target)) give(target, target.files);
  },
  { capture: true },
);

panel.addEventListener(
  "drop",
  (event) => {
    const input = pictureInput(event.target);
    if (!input || [...event.dataTransfer.files].every((file) => file.type.startsWith("image/"))) return;
    event.preventDefault();
    event.stopPropagation();
    give(input, event.dataTransfer.files);
    input.dispatchEvent(new Event("change"));
  },
  { capture: true },
);
