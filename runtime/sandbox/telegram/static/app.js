// Puts the page together and draws what the store says.

import { answer, dropReply, focusComposer, say, startComposer } from "./composer.js";
import { drawHead, startHead } from "./head.js";
import { drawLog, jumpTo, startLog } from "./log.js";
import { alertPanel, toast } from "./panels.js";
import { connect, onChange, store } from "./store.js";

startHead();
startComposer();
startLog({
  reply: answer,
  jump: jumpTo,
  command: say,
  compose: focusComposer,
  copy: (words) => navigator.clipboard.writeText(words).then(() => toast("Copied")),
});

onChange((kind, detail) => {
  const isHere = detail.id === undefined || detail.id === store.current;
  if (kind === "opened") dropReply();
  if (kind === "answer") showAnswer(detail);
  if (kind === "message" && isHere) drawLog({ arrived: detail.message });
  else if (isHere && !["online", "action", "status"].includes(kind)) drawLog();
  drawHead();
});

function showAnswer({ text, show_alert: isAlert, url }) {
  if (url) window.open(url, "_blank", "noopener");
  if (!text) return;
  if (isAlert) alertPanel(store.bot.first_name, text);
  else toast(text);
}

connect();
if (matchMedia("(hover: hover)").matches) focusComposer();
