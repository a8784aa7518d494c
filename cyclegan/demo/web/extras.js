// What else is made of a drawing and its photo: six more, a time-lapse, files.

import { SIDE, coloursOf, seedOf, sinceClear } from "./ink.js";
import { finder } from "./elements.js";
import { RETRY_GAP } from "./photo.js";
import { SCRAMBLED, readsBack } from "./readback.js";
import { endOf, since } from "./sending.js";

const MOMENTS = 48; // of a time-lapse

/** Sets up the buttons below the canvas: `drawn` is createCanvas's, `photo` createPhoto's. */
export function createExtras(element, drawn, photo) {
  const { find, findAll } = finder(element);
  let job = 0; // number of the one that runs; another number stops it

  /** Asks until there is an answer; undefined if the job was stopped meanwhile. */
  async function patiently(mine, ask) {
    while (mine === job) {
      const answer = await ask();
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
    const answer = await patiently(mine, () => photo.askAbout("vary", { drawing: drawn.drawing(), open: drawn.isDrawing() }));
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

  /** Draws on what has grown of a drawing until it has `count` points; a stroke that is not complete is the last one. */
  function grow(grown, drawing, count) {
    for (const [i, one] of drawing.entries()) {
      if (count <= 0) break;
      if (i === grown.length) grown.push(one.points ? { ...one, points: [] } : one);
      const [points, all] = [grown[i].points, one.points];
      if (all) points.push(...all.slice(points.length, Math.max(count, points.length)));
      count -= all?.length ?? 1;
    }
  }

  /** Draws it again, asks for the photo of each moment as if the pen were there, and has a film made of them. */
  async function film(mine) {
    const all = sinceClear(drawn.drawing());
    const colours = coloursOf(all);
    const drawing = [...(colours ? [{ photo: colours }] : []), ...all.filter((one) => !("photo" in one))];
    const points = drawing.reduce((sum, one) => sum + (one.points?.length ?? 1), 0);
    const count = Math.min(MOMENTS, points);
    const [seed, grown, moments] = [seedOf(all), [], []];
    let end;
    for (let i = 1; i <= count; i += 1) {
      progress((i - 1) / count, "Drawing it again…");
      grow(grown, drawing, Math.ceil((points * i) / count));
      const open = (grown.at(-1).points?.length ?? 0) < (drawing[grown.length - 1].points?.length ?? 0);
      const answer = await patiently(mine, () => photo.askAbout("redraw", { drawing: grown, open, canvas: null, seed, final: false }));
      if (!answer || answer.error) return answer?.error;
      if (!answer.photo) continue;
      moments.push([since(grown, end, open), answer.photo]);
      end = endOf(grown, open);
    }
    progress(undefined, "Making the film…");
    const answer = await patiently(mine, () => photo.ask("film", moments));
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
    if (!readsBack()) return photo.showMessage(SCRAMBLED);
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
