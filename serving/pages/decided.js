// Shows which part of a photo decided, by occlusion, as the report of a run does (components/report/occlusion.py).
const GRID = 7; // positions of the grey square in each direction; neighbours overlap by half
const SIDE = 256; // pixels of the longer side of a copy
const GREY = "rgb(127 127 127)";
const CHUNK = 10; // copies in a request, so that other photos are answered in between
const HEAT = [255, 40, 0];
const [OPACITY, SMALL] = [0.8, 0.05]; // below the loss SMALL, no square decided alone
const TRIES = 20;
const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function drawn(photo) {
  const bitmap = await createImageBitmap(photo).catch(() => { throw new Error("The browser cannot show this photo."); });
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const size = [bitmap.width, bitmap.height].map((each) => Math.max(1, Math.round(each * scale)));
  const canvas = Object.assign(document.createElement("canvas"), { width: size[0], height: size[1] });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white"; // below transparent pixels, as the model has it
  context.fillRect(0, 0, ...size);
  context.drawImage(bitmap, 0, 0, ...size);
  return canvas;
}

const start = (index, length) => Math.round((index * length) / (GRID + 1));

function covered(canvas, row, column) {
  const { width, height } = canvas;
  const copy = Object.assign(document.createElement("canvas"), { width, height });
  const context = copy.getContext("2d");
  context.drawImage(canvas, 0, 0);
  const [left, top] = [start(column, width), start(row, height)];
  context.fillStyle = GREY;
  context.fillRect(left, top, start(column + 2, width) - left, start(row + 2, height) - top);
  return copy;
}

const encoded = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));

// A busy server is asked again later; of a server with low limits, fewer photos at once.
async function answers(predict, copies, tries = TRIES) {
  try {
    return await predict(copies);
  } catch (error) {
    if (error.status === 413 && copies.length > 1) {
      const half = Math.ceil(copies.length / 2);
      return [...(await answers(predict, copies.slice(0, half))), ...(await answers(predict, copies.slice(half)))];
    }
    if (![429, 503].includes(error.status) || tries <= 1) throw error;
    await wait(error.retryAfter || 1);
    return answers(predict, copies, tries - 1);
  }
}

// The mean loss of the squares that cover each of the 8 x 8 cells.
function heat(losses) {
  const inside = (index) => [index - 1, index].filter((each) => each >= 0 && each < GRID);
  const mean = (values) => values.reduce((sum, each) => sum + each, 0) / values.length;
  const cells = [...Array(GRID + 1).keys()];
  return cells.map((row) => cells.map((column) =>
    mean(inside(row).flatMap((r) => inside(column).map((c) => Math.max(0, losses[r * GRID + c]))))));
}

function paint(canvas, losses) {
  const { width, height } = canvas;
  const [context, cells] = [canvas.getContext("2d"), heat(losses)];
  const strongest = OPACITY * Math.min(1, Math.max(0, ...losses) / SMALL) / Math.max(1e-9, ...cells.flat());
  const image = context.getImageData(0, 0, width, height);
  const cell = (position, length) => Math.min(GRID, Math.floor((position * (GRID + 1)) / length));
  for (let index = 0; index < image.data.length; index += 4) {
    const [column, row] = [(index / 4) % width, Math.floor(index / 4 / width)];
    const opacity = strongest * cells[cell(row, height)][cell(column, width)];
    const grey = (image.data[index] + image.data[index + 1] + image.data[index + 2]) / 3;
    HEAT.forEach((value, channel) => { image.data[index + channel] = (1 - opacity) * grey + opacity * value; });
  }
  context.putImageData(image, 0, 0);
}

const third = (cell, names) => names[cell < 3 ? 0 : cell > 4 ? 2 : 1];

export function words(name, before, losses) {
  const loss = Math.max(...losses);
  const [from, to] = [before, before - loss].map((each) => `${(each * 100).toFixed(1)} %`);
  if (loss <= 0 || from === to) return `No grey square lowers the probability of ${name}, ${from}.`;
  const cells = heat(losses).flat();
  const hottest = cells.indexOf(Math.max(...cells));
  const [row, column] = [Math.floor(hottest / (GRID + 1)), hottest % (GRID + 1)];
  const place = `${third(row, ["top", "middle", "bottom"])} ${third(column, ["left", "centre", "right"])}`.replace("middle centre", "centre");
  const most = loss < SMALL ? `No single part decided; most of all the ${place}.` : `The ${place} decided most.`;
  return `${most} With the worst grey square, the probability of ${name} falls from ${from} to ${to}.`;
}

/* Returns a canvas with the heat, and what it shows as text.
   predict: answers photos with their probabilities; index, name: the class; progress: receives the part that is done. */
export async function decided(photo, predict, index, name, progress) {
  const canvas = await drawn(photo);
  const positions = [...Array(GRID * GRID).keys()].map((each) => [Math.floor(each / GRID), each % GRID]);
  const makers = [() => canvas, ...positions.map(([row, column]) => () => covered(canvas, row, column))];
  const values = [];
  while (values.length < makers.length) {
    const copies = await Promise.all(makers.slice(values.length, values.length + CHUNK).map((make) => encoded(make())));
    values.push(...(await answers(predict, copies)).map((each) => each.probabilities[index]));
    progress(values.length / makers.length);
  }
  const [before, ...after] = values;
  const losses = after.map((each) => before - each);
  paint(canvas, losses);
  return { canvas, text: words(name, before, losses) };
}
