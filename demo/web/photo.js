// The photo that follows the drawing (canvas.js), and what can be done with it.
//
// At most one frame is on its way; what is drawn meanwhile goes out as one newer frame when the answer is there. So
// frames never queue up, and an answer is shown only if nothing newer was shown or cleared before it came.

const FRAME_GAP = 30; // ms between an answer and the next frame: room for the pen itself
const RETRY_GAP = 1000; // ms

let version = 0; // of the drawing
let sent = 0; // version of the latest frame on its way or answered
let shown = 0; // version of the picture on the page
let waiting = false;

function request() {
  version += 1;
  find(".draw").classList.toggle("empty", isEmpty());
  find('[data-action="undo"]').disabled = !steps.length;
  find('[data-action="redo"]').disabled = !undone.length;
  if (isEmpty()) {
    sent = shown = version;
    showResult(".photo", null);
    showResult(".returned", null);
    showMessage("");
  }
  wipe();
  next();
}

async function next() {
  if (waiting || sent === version || !element.isConnected) return;
  waiting = true;
  const [mine, final] = [version, !stroke];
  sent = mine;
  const answer = await server.redraw({ image: canvas.toDataURL("image/png"), final });
  let gap = FRAME_GAP;
  if (!answer || answer.busy) {
    showMessage(answer ? "Many people are drawing. One moment…" : "The server does not answer. Trying again…");
    if (mine > shown) sent = shown; // the frame is still wanted
    gap = RETRY_GAP;
  } else if (mine > shown) {
    shown = mine;
    show(answer);
  }
  setTimeout(() => ((waiting = false), next()), gap);
}

function show({ error, photo, returned, took }) {
  showMessage(error ?? "");
  showResult(".photo", photo);
  if (returned !== undefined || !photo) showResult(".returned", returned);
  const foot = document.querySelector("#took");
  if (foot && took) foot.textContent = `Last picture: ${took} ms`;
}

function showResult(which, url) {
  const image = find(`${which} img`);
  image.hidden = !url;
  if (url) image.src = url;
  if (which === ".photo") findAll(".extras button, .compare").forEach((one) => (one.disabled = !url));
}

function showMessage(text) {
  const message = find(".message");
  if (message.textContent !== text) message.textContent = text;
}

// --- compare: the drawing wipes over the photo ----------------------------------------------------------------------

function wipe() {
  const share = isEmpty() ? 0 : find(".compare").value;
  find(".wipe").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  if (share > 0) find(".wipe").getContext("2d").drawImage(canvas, 0, 0);
}
find(".compare").addEventListener("input", wipe);

// --- save -----------------------------------------------------------------------------------------------------------

const savings = { sketch: [canvas], photo: [find(".photo img")], both: [canvas, find(".photo img")] };

async function savePicture(name) {
  const sources = savings[name];
  const side = name === "photo" ? sources[0].naturalWidth : SIDE;
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

// --- start ----------------------------------------------------------------------------------------------------------

choose("pen", BLACK);
restore().then((stored) => ((steps = [...stored, ...steps]), changed()));
