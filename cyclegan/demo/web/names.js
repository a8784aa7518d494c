// For those who hear the page: names that Gradio leaves out, and a word when a picture is finished.
// Gradio runs this file as the body of a function when the component (element) is mounted.

const FINISHED = ".pictures > :nth-child(2) img, .draw .returned img"; // what comes last, in each tab
const root = element.closest(".gradio-container");
const status = element.querySelector('[role="status"]');
const seen = new WeakMap();

const stem = (address) => decodeURIComponent(address.split("/").at(-1)).replace(/\.\w+$/, "");

function announce(sentence) {
  status.textContent = "";
  setTimeout(() => (status.textContent = sentence), 100); // the same words again are news, too
}

function name(image) {
  const label = image.closest(".block")?.querySelector('[data-testid="block-label"]')?.textContent.trim();
  if (image.closest(".thumbnail-item")) image.alt = ""; // its caption says it
  else if (image.closest(".gallery-item")) image.alt = `Example: ${stem(image.src)}`;
  else if (image.closest(".image-frame")) image.alt = label || stem(image.src);
}

/** Has this element another value than when it was last looked at? */
function isNews(one, value) {
  const before = seen.get(one);
  seen.set(one, value);
  return value && value !== before;
}

function look() {
  root.querySelectorAll(".image-frame img, .gallery-item img").forEach(name);
  root.querySelectorAll('[aria-label="common.upload"]').forEach((one) => (one.ariaLabel = one.title = "Add files"));
  for (const one of root.querySelectorAll(FINISHED)) {
    if (isNews(one, one.getAttribute("src"))) announce(`${one.closest(".draw") ? "Photo" : one.alt}: ready.`);
  }
  for (const one of root.querySelectorAll(".status .remark")) if (isNews(one, one.textContent)) announce(one.textContent);
}

new MutationObserver(look).observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ["src"] });
look();
