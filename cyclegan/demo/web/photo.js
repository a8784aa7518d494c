// The photo that follows the drawing (canvas.js): live frames, and other looks at them: tidy, compare, realism.
//
// At most one frame is on its way; what is drawn meanwhile goes out as one newer frame when the answer is there. So
// frames never queue up, and an answer is shown only if nothing newer was shown or cleared before it came.

import { seedOf } from "./ink.js";
import { disable, finder, isPressed, press } from "./elements.js";
import { createSender } from "./sending.js";

const FRAME_GAP = 10; // ms between an answer and the next frame: room for the pen itself
export const RETRY_GAP = 1000; // ms

/**
 * Follows the drawing of `drawn` (createCanvas's). `server`: draw.py's functions, each a Promise of its answer, undefined
 * if the server could not be reached.
 */
export function createPhoto(element, server, drawn) {
  const { find, findAll } = finder(element);
  const tidy = find(".tidy input");
  const look = find(".look");
  const judge = find(".judge"); // null for weights without critics

  let version = 0; // of the drawing
  let sent = 0; // version of the latest frame on its way or answered
  let shown = 0; // version of the picture on the page
  let drawnBack = 0; // version of the photo whose drawing is on the page, or on its way
  let waiting = false;
  let turn = Promise.resolve();
  let current = null; // the photo on the page
  const sender = createSender();
  let model = null; // name of the one that is asked; null: the page's first

  const inTurn = (work) => (turn = turn.then(work).catch(() => undefined));

  /** Asks the server, one thing after the other; undefined if it could not be reached. */
  const ask = (name, question) => inTurn(() => server[name](question));

  /** Asks about a drawing, which `canvas` shows if there is one; `open`: does the pen still draw its last stroke? */
  const askAbout = (name, { drawing, open = false, canvas = drawn.canvas, ...more }) =>
    inTurn(async () => {
      const send = () => {
        const { keep, ...packed } = sender.pack(drawing, open, canvas);
        const question = { tidy: tidy.checked, seed: seedOf(drawing), model, ...more, ...packed };
        return server[name](question).then((answer) => (answer.kept && keep(answer.kept), answer));
      };
      const answer = await send();
      if (!answer.unknown) return answer;
      sender.forget(); // another server answers, or it has too many drawings
      return send();
    });

  const trouble = (answer) =>
    answer ? "Many people are drawing. One moment…" : "The server does not answer. Trying again…";

  function request() {
    version += 1;
    find(".draw").classList.toggle("empty", drawn.isEmpty());
    disable(find('[data-action="undo"]'), !drawn.canUndo());
    disable(find('[data-action="redo"]'), !drawn.canRedo());
    if (drawn.isDrawing()) peek(false);
    if (drawn.isEmpty()) {
      sent = shown = version;
      show({ photo: null });
    }
    wipe();
    next();
  }

  async function next() {
    if (waiting || !element.isConnected) return;
    if (sent === version) {
      if (shown === version && drawnBack !== version && !drawn.isDrawing() && current) drawBack();
      return;
    }
    waiting = true;
    const [mine, final] = [version, !drawn.isDrawing()];
    sent = mine;
    const answer = await askAbout("redraw", { drawing: drawn.drawing(), open: !final, final });
    let gap = FRAME_GAP;
    if (!answer || answer.busy) {
      showMessage(trouble(answer));
      if (mine > shown) sent = shown; // the frame is still wanted
      gap = RETRY_GAP;
    } else if (mine > shown) {
      shown = mine;
      show(answer);
    }
    rest(gap);
  }

  function rest(gap) {
    setTimeout(() => ((waiting = false), next()), gap);
  }

  /** Once the pen rests and its photo is there, asks for the drawing made from that, and for the critics' opinion. */
  async function drawBack() {
    waiting = true;
    const mine = (drawnBack = version);
    const answer = await askAbout("draw_back", { drawing: drawn.drawing(), judge: isPressed(judge) });
    if (!answer || answer.busy) drawnBack = 0;
    else if (answer.error) showMessage(answer.error);
    else if (mine === version) showDrawnBack(answer);
    rest(answer && !answer.busy ? FRAME_GAP : RETRY_GAP);
  }

  function showDrawnBack({ returned, opinion }) {
    if (opinion) showPicture(find(".photo img"), opinion.photo);
    find(".opinion").textContent = opinion?.sentence ?? "";
    showPicture(find(".returned img"), opinion?.returned ?? returned);
    find(".returned").classList.remove("outdated");
  }

  /** Shows an answer; while the pen moves it is the photo alone, and the rest stays as it was. The drawing comes later. */
  function show({ error = "", photo, sheet, remark = "", took }) {
    showMessage(error);
    showPicture(find(".photo img"), photo);
    current = photo;
    findAll(".more button, .compare").forEach((one) => (one.disabled = !photo));
    find(".opinion").textContent = "";
    find(".returned").classList.add("outdated");
    if (!photo) showPicture(find(".returned img"), null);
    if (sheet || !photo) {
      find(".remark").textContent = remark;
      look.value = sheet ?? "";
      look.disabled = !sheet;
      peek(isPressed(look) && !look.disabled);
    }
    const foot = document.querySelector("#took");
    if (foot && took) foot.textContent = `Last picture: ${took} ms`;
  }

  function showPicture(image, url) {
    image.hidden = !url;
    if (url) image.src = url;
  }

  function showMessage(text) {
    const message = find(".message");
    if (message.textContent !== text) message.textContent = text;
  }

  // --- other looks ----------------------------------------------------------------------------------------------------

  /** Lays the sheet that the model saw over the drawing, until the next stroke. */
  function peek(on) {
    press(look, on);
    showPicture(find(".peek"), on && look.value);
  }
  look.addEventListener("click", () => peek(!isPressed(look)));
  tidy.addEventListener("change", request);

  judge?.addEventListener("click", () => {
    press(judge, !isPressed(judge));
    request();
  });

  /** The drawing lies over the photo as far as the slider says. */
  function wipe() {
    const share = drawn.isEmpty() ? 0 : find(".compare").value;
    find(".wipe").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    if (share > 0) find(".wipe").getContext("2d").drawImage(drawn.canvas, 0, 0);
  }
  find(".compare").addEventListener("input", wipe);

  /** Asks another model from now on, and for the drawing's photo again. */
  function follow(name) {
    model = name;
    request();
  }

  return { request, ask, askAbout, trouble, show, showMessage, follow, model: () => model, photo: () => current };
}
