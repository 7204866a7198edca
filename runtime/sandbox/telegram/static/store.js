// What the page knows, kept up by the server's event stream, and what the person does, posted back.

const person = new URLSearchParams(location.search).get("user") ?? "";
const asPerson = `user=${encodeURIComponent(person)}`;

export const store = {
  me: null,
  bot: null,
  people: [],
  botConnected: false,
  online: false,
  chats: new Map(),
  current: null,
  thread: 0,
  unread: new Map(),
  pressed: new Map(),
};

const listeners = new Set();

export function onChange(listener) {
  listeners.add(listener);
}

function tell(kind, detail = {}) {
  for (const listener of listeners) listener(kind, detail);
}

export function chat() {
  return store.chats.get(store.current);
}

export function openChat(id, thread = 0) {
  store.current = id;
  store.thread = thread;
  store.unread.delete(id);
  tell("opened", {});
}

export function messagesShown() {
  const open = chat();
  if (!open) return [];
  const all = [...open.messages.values()].sort((a, b) => a.message_id - b.message_id);
  if (!open.is_forum) return all;
  return all.filter((message) => (message.message_thread_id ?? 0) === store.thread);
}

export function connect() {
  const source = new EventSource(`/sandbox/events?${asPerson}`);
  const on = (kind, apply) => source.addEventListener(kind, (event) => apply(JSON.parse(event.data)));
  on("state", applyState);
  on("message", ({ chat_id: id, message }) => {
    const known = store.chats.get(id);
    if (!known) return;
    known.messages.set(message.message_id, message);
    if (message.from_bot) {
      known.action = null;
      if (id !== store.current || document.hidden) store.unread.set(id, (store.unread.get(id) ?? 0) + 1);
    }
    tell("message", { id, message });
  });
  on("edit", ({ chat_id: id, message }) => {
    store.chats.get(id)?.messages.set(message.message_id, message);
    tell("edit", { id, message });
  });
  on("delete", ({ chat_id: id, message_id: messageId }) => {
    store.chats.get(id)?.messages.delete(messageId);
    tell("delete", { id, messageId });
  });
  on("action", ({ chat_id: id, action, seconds }) => showAction(id, { action, seconds }));
  on("answer", (answer) => {
    for (const [key, id] of store.pressed) if (id === answer.callback_query_id) store.pressed.delete(key);
    tell("answer", answer);
  });
  on("status", ({ chat_id: id, bot_status: status }) => {
    const known = store.chats.get(id);
    if (known) known.bot_status = status;
    tell("status", { id });
  });
  source.onerror = () => {
    store.online = false;
    tell("online");
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1500);
  };
}

function applyState(state) {
  store.online = true;
  store.me = state.me;
  store.bot = state.bot;
  store.people = state.people;
  store.botConnected = state.bot_connected;
  store.chats = new Map(state.chats.map((known) => [
    known.id,
    { ...known, messages: new Map(known.messages.map((message) => [message.message_id, message])) },
  ]));
  for (const known of store.chats.values()) if (known.action) showAction(known.id, known.action);
  if (!store.chats.has(store.current)) store.current = store.me.id;
  tell("state");
}

function showAction(id, action) {
  const known = store.chats.get(id);
  if (!known) return;
  known.action = action;
  setTimeout(() => {
    if (known.action === action) {
      known.action = null;
      tell("action", { id });
    }
  }, action.seconds * 1000);
  tell("action", { id });
}

async function post(path, body) {
  const isForm = body instanceof FormData;
  let response;
  try {
    response = await fetch(`/sandbox/chats/${store.current}/${path}?${asPerson}`, {
      method: "POST",
      body: isForm ? body : JSON.stringify(body),
      headers: isForm ? {} : { "Content-Type": "application/json" },
    });
  } catch {
    throw new Error("The sandbox does not answer. It will be tried again when you send.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The sandbox answered ${response.status}.`);
  return answer;
}

export function sendMessage({ text = "", replyTo = 0, files = [], asFiles = false }) {
  const form = new FormData();
  form.set("text", text);
  if (replyTo) form.set("reply_to", replyTo);
  if (store.thread) form.set("thread_id", store.thread);
  if (asFiles) form.set("as_files", "true");
  files.forEach((file, number) => form.set(`file${number}`, file, file.name));
  return post("messages", form);
}

export async function pressButton(messageId, data) {
  const key = `${messageId}:${data}`;
  store.pressed.set(key, "");
  tell("pressed", { messageId });
  try {
    const { callback_query_id: id } = await post("press", { message_id: messageId, data });
    if (store.pressed.has(key)) store.pressed.set(key, id);
    setTimeout(() => {
      if (store.pressed.get(key) === id) {
        store.pressed.delete(key);
        tell("pressed", { messageId });
      }
    }, 15000);
  } catch (failed) {
    store.pressed.delete(key);
    tell("pressed", { messageId });
    throw failed;
  }
}

export const react = (messageId, emoji) => post("react", { message_id: messageId, emoji });
export const setBlocked = (blocked) => post("block", { blocked });

export async function armFault(fault) {
  await fetch("/sandbox/faults", { method: "POST", body: JSON.stringify(fault), headers: { "Content-Type": "application/json" } });
}

export function mediaUrl(file, download = false) {
  return `/sandbox/media/${encodeURIComponent(file.file_unique_id)}${download ? "?download=1" : ""}`;
}

export function personUrl(name) {
  return `?user=${encodeURIComponent(name.toLowerCase())}`;
}
