// What else is made of a drawing and its photo: six more, a time-lapse, files.

import { SIDE, flatten, ink, newLayer, newSheet, sinceClear } from "./ink.js";
import { finder } from "./elements.js";
import { RETRY_GAP } from "./photo.js";

const MOMENTS = 48; // of a time-lapse
const FILM_CHARACTERS = 15_000_000; // of all its pictures; the server takes 16 MB

/** Sets up the buttons below the canvas: `drawn` is createCanvas's, `photo` createPhoto's. */
export function createExtras(element, drawn, photo) {
  const { find, findAll } = finder(element);
  const scratch = newSheet();

  let job = 0; // number of the one that runs; another number stops it

  /** Asks until there is an answer; undefined if the job was stopped meanwhile. */
  async function patiently(mine, name, question) {
    while (mine === job) {
      const answer = await photo.ask(name, question);
      if (answer && !answer.busy) return mine === job ? answer : undefined;
      progress(undefined, photo.trouble(answer));
      await new Promise((done) => setTimeout(done, RETRY_GAP));
    }
  }

  /** How far the job is, 0 to 1, undefined if nobody knows; a text of its own, none to hide it. */
  function progress(share, text) {
    find(".job").hidden = !text;
    find(".job span").textContent = text;
    if (share === undefined) find("progress").removeAttribute("value");
    else find("progress").value = share;
  }

  /** Runs one job, which stops the one before and clears what that one made. */
  async function run(work) {
    const mine = (job += 1);
    find(".six").replaceChildren();
    find(".film").hidden = true;
    const error = await work(mine);
    if (mine !== job) return;
    progress(0, "");
    if (error) photo.showMessage(error);
  }

  // --- six more -------------------------------------------------------------------------------------------------------

  async function vary(mine) {
    progress(undefined, "Making six more…");
    const answer = await patiently(mine, "vary", photo.question(drawn.drawing(), drawn.canvas));
    if (!answer || answer.error) return answer?.error;
    find(".six").replaceChildren(...answer.variations.map(variationButton));
  }

  function variationButton({ name, seed, sketch, colours, photo: made }) {
    const button = Object.assign(document.createElement("button"), { type: "button", title: name });
    button.setAttribute("aria-label", `Take this one: ${name}`);
    button.append(Object.assign(document.createElement("img"), { src: made, alt: "" }));
    button.addEventListener("click", async () => {
      if (sketch) await drawn.startFrom(sketch, { seed });
      else drawn.addStep([colours ? { photo: colours } : { seed }]);
      photo.show({ photo: made });
    });
    return button;
  }

  // --- time-lapse -----------------------------------------------------------------------------------------------------

  /** The drawing as it was when the pen had made `count` points. */
  function upTo(drawing, count) {
    const part = [];
    for (const one of drawing) {
      if (count <= 0) break;
      part.push(one.points ? { ...one, points: one.points.slice(0, count) } : one);
      count -= one.points?.length ?? 1;
    }
    return part;
  }

  /** The moments, or every second of them counted from the last, and so on, until the server takes them at once. */
  function fitting(moments) {
    const size = moments.flat().reduce((sum, url) => sum + url.length, 0);
    return size < FILM_CHARACTERS ? moments : fitting(moments.filter((_, i) => (moments.length - i) % 2));
  }

  /** Inks the drawing anew, asks for the photo of each moment as if the pen were there, and has a film made of them. */
  async function film(mine) {
    const drawing = sinceClear(drawn.drawing());
    const points = drawing.reduce((sum, one) => sum + (one.points?.length ?? 1), 0);
    const count = Math.min(MOMENTS, points);
    const paper = newLayer();
    const moments = [];
    for (let i = 1; i <= count; i += 1) {
      progress((i - 1) / count, "Drawing it again…");
      ink(scratch, upTo(drawing, Math.ceil((points * i) / count)));
      flatten(scratch, paper);
      const question = photo.question(drawing, paper.canvas);
      const answer = await patiently(mine, "redraw", { ...question, final: false });
      if (!answer || answer.error) return answer?.error;
      if (answer.photo) moments.push([question.image, answer.photo]);
    }
    progress(undefined, "Making the film…");
    const answer = await patiently(mine, "film", fitting(moments));
    if (!answer || answer.error) return answer?.error;
    find(".film img").src = find(".film a").href = answer.film;
    find(".film").hidden = false;
  }

  const works = { vary, film };
  findAll("[data-extra]").forEach((button) => button.addEventListener("click", () => run(works[button.dataset.extra])));
  const clear = () => run(async () => "");
  find(".stop").addEventListener("click", () => {
    find("[data-extra]").focus(); // the button itself goes
    clear();
  });

  // --- save -----------------------------------------------------------------------------------------------------------

  async function savePicture(name) {
    const image = new Image();
    image.src = photo.photo();
    await image.decode();
    const sources = { sketch: [drawn.canvas], photo: [image], both: [drawn.canvas, image] }[name];
    const side = name === "photo" ? image.naturalWidth : SIDE;
    const picture = Object.assign(document.createElement("canvas"), { width: side * sources.length, height: side });
    const paper = picture.getContext("2d");
    paper.imageSmoothingQuality = "high";
    sources.forEach((source, i) => paper.drawImage(source, i * side, 0, side, side));
    const blob = await new Promise((done) => picture.toBlob(done, "image/png"));
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `${name}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
  findAll("[data-save]").forEach((button) => button.addEventListener("click", () => savePicture(button.dataset.save)));

  return { clear };
}
