/** People and conversations of the demo: a clinic's chat on an ordinary day. */

import type {
  AttachmentView,
  ConsultView,
  ConversationView,
  DeviceType,
  Me,
  MessageView,
  PersonView,
  Role,
} from "../service/chat/model";
import { conversation, message } from "./messages";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

interface Person {
  readonly name: string;
  readonly online: boolean;
  readonly devices: readonly DeviceType[];
}

const PEOPLE: Readonly<Record<string, Person>> = {
  alice: { name: "Alice Berger", online: true, devices: ["mobile"] },
  bob: { name: "Bob Lindqvist", online: false, devices: [] },
  carol: { name: "Carol Okafor", online: true, devices: ["desktop", "mobile"] },
  dora: { name: "Dr. Dora Weiss", online: true, devices: ["desktop"] },
  mei: { name: "王美玲", online: true, devices: ["mobile"] },
  tom: { name: "Tom Farrell", online: false, devices: [] },
  nadia: { name: "Nadia Haddad", online: true, devices: ["tablet"] },
};

/** What one says, briefly: sender, minutes ago, text, and whatever is special about it. */
type Line = readonly [senderId: string, minutesAgo: number, text: string, more?: Partial<MessageView>];

export interface DemoData {
  readonly me: Me;
  readonly conversations: readonly ConversationView[];
  readonly queue: readonly ConversationView[];
  readonly messages: Readonly<Record<string, readonly MessageView[]>>;
}

export function nameOf(userId: string): string {
  return PEOPLE[userId]?.name ?? userId;
}

export function personOf(userId: string, readSeq = 0): PersonView {
  const found = PEOPLE[userId];
  return {
    userId,
    name: nameOf(userId),
    devices: found?.devices ?? [],
    readSeq,
    ...(found ? { online: found.online } : {}),
  };
}

const PLAN: AttachmentView = { id: "pdf-1", name: "training-plan.pdf", contentType: "application/pdf", size: 248_310 };
const PHOTO: AttachmentView = {
  id: "picture-3",
  name: "lake.jpg",
  contentType: "image/jpeg",
  size: 1_840_200,
  width: 960,
  height: 640,
};
const VOICE: AttachmentView = {
  id: "voice-9000",
  name: "voice.webm",
  contentType: "audio/webm",
  size: 54_000,
  durationMs: 9000,
};

const KNEE: readonly Line[] = [
  ["system", 2 * 24 * 60, "Waiting for a consultant.", { kind: "system", notice: notice("consult_opened") }],
  ["alice", 2 * 24 * 60 - 1, "Hello, my knee has been swollen since Sunday’s run."],
  ["alice", 2 * 24 * 60 - 2, "It does not hurt much, but stairs are no fun."],
  [
    "system",
    2 * 24 * 60 - 6,
    "Carol Okafor is here for you.",
    { kind: "system", notice: notice("consult_taken", "carol") },
  ],
  ["carol", 2 * 24 * 60 - 7, "Hi Alice! Sorry to hear that. Can you bend it all the way?"],
  ["alice", 2 * 24 * 60 - 8, "Almost. The last bit feels tight."],
  ["carol", 2 * 24 * 60 - 12, "Customer had the same in March, see her file.", { internal: true }],
  [
    "carol",
    2 * 24 * 60 - 14,
    "Then rest, cool it twice a day for ten minutes, and no running until Thursday.",
    { important: true },
  ],
  ["alice", 26 * 60, "Day two: the swelling is down a bit. This is from my walk:"],
  ["alice", 26 * 60 - 1, "", { kind: "image", attachment: PHOTO }],
  ["carol", 25 * 60, "Beautiful! And well done for walking, not running 🙂"],
  ["carol", 25 * 60 - 1, "", { kind: "voice", attachment: VOICE }],
  ["alice", 47, "Thursday is here. May I run again?"],
  ["carol", 41, "May I ask Dora to have a look at it first?", { edited: true }],
  ["alice", 39, "Of course, thank you."],
  ["carol", 18, "She says: two easy kilometres on soft ground, then tell us how it feels."],
  ["carol", 17, "Here is her plan for the next two weeks.", { kind: "file", attachment: PLAN }],
  ["alice", 12, "Great, I will start tomorrow morning and report!"],
  ["carol", 9, "", { deleted: true }],
  ["carol", 3, "Perfect. And if it swells again, write at once, day or night."],
  ["carol", 2, "I am around until six today."],
];

const TEAM: readonly Line[] = [
  ["dora", 190, "Who brings the cake on Friday?"],
  ["nadia", 181, "I can, if somebody swaps Monday with me."],
  ["tom", 176, "Monday is fine for me."],
  ["dora", 175, "Done, thank you both 🙏"],
  ["nadia", 33, "The new timetable is online. Please reload once."],
];

const MEI: readonly Line[] = [
  ["mei", 320, "您好，我想预约下周的复诊。"],
  ["me", 312, "好的，周三上午十点可以吗？"],
  ["mei", 305, "可以，谢谢！"],
  ["mei", 52, "我需要带上之前的化验单吗？"],
];

const BOB: readonly Line[] = [
  ["bob", 3 * 24 * 60, "Are you coming to the first-aid course?"],
  ["me", 3 * 24 * 60 - 20, "Yes, I have signed up."],
  ["bob", 3 * 24 * 60 - 30, "See you there then."],
];

/** Everything as one user of this role sees it at `now`. */
export function demoData(role: Role, now: number): DemoData {
  const me = role === "customer" ? "alice" : role === "doctor" ? "dora" : "carol";
  const lines = {
    knee: KNEE.filter(([, , , more]) => role !== "customer" || !more?.internal),
    team: TEAM,
    mei: MEI,
    bob: BOB,
  };
  const messages = Object.fromEntries(
    Object.entries(lines).map(([id, said]) => [id, said.map((line, index) => spoken(id, line, index + 1, me, now))]),
  );
  messages.team = [...earlier("team", me, now), ...(messages.team ?? [])].map((one, index) => numbered(one, index + 1));
  const open = (
    id: string,
    title: string,
    people: readonly string[],
    unread: number,
    more: Partial<ConversationView> = {},
  ) => summary(id, title, people, messages[id] ?? [], unread, more);
  const consult: ConsultView = {
    state: "taken",
    consultantId: me === "alice" ? "carol" : me,
    openedAt: now - 48 * HOUR,
  };
  return {
    me: { userId: me, name: nameOf(me), roles: [role] },
    conversations: [
      open(
        "knee",
        me === "alice" ? "Knee after running" : "Alice Berger · knee after running",
        ["alice", "carol"],
        me === "alice" ? 2 : 0,
        {
          consult,
        },
      ),
      open(
        "team",
        role === "customer" ? "Saturday group" : "Clinic team",
        ["alice", "carol", "dora", "nadia", "tom"],
        1,
        { muted: true },
      ),
      open("mei", "王美玲", [me, "mei"], 1),
      open("bob", "Bob Lindqvist", [me, "bob"], 0),
    ],
    queue: role === "customer" ? [] : waiting(now),
    messages,
  };
}

function waiting(now: number): ConversationView[] {
  return [
    ["q1", "Tom Farrell · prescription", 14],
    ["q2", "Nadia Haddad · sleep", 6],
  ].map(([id, title, minutes]) =>
    conversation({
      id: String(id),
      title: String(title),
      at: now - Number(minutes) * MINUTE,
      member: false,
      people: [personOf(id === "q1" ? "tom" : "nadia")],
      consult: { state: "waiting", openedAt: now - Number(minutes) * MINUTE },
    }),
  );
}

function summary(
  id: string,
  title: string,
  people: readonly string[],
  messages: readonly MessageView[],
  unread: number,
  more: Partial<ConversationView>,
): ConversationView {
  const last = messages.at(-1);
  const seen = messages.length;
  return conversation({
    id,
    title,
    unread,
    people: people.map((userId) => personOf(userId, seen)),
    at: last?.at ?? 0,
    ...(last ? { last } : {}),
    ...more,
  });
}

function spoken(id: string, [by, minutesAgo, text, more]: Line, seq: number, me: string, now: number): MessageView {
  const senderId = by === "me" ? me : by;
  const mine = senderId === me;
  return message({
    id: `${id}-${seq}`,
    key: `${id}-${seq}`,
    conversationId: id,
    seq,
    senderId,
    senderName: nameOf(senderId),
    mine,
    content: text,
    at: now - minutesAgo * MINUTE,
    progress: mine ? "read" : "sent",
    ...more,
  });
}

/** A long history, so that scrolling has something to load. */
function earlier(id: string, me: string, now: number): MessageView[] {
  const who = ["dora", "nadia", "tom", me];
  const said = [
    "Morning!",
    "I am five minutes late.",
    "Same place as last week?",
    "Can somebody bring the keys?",
    "On it.",
  ];
  return Array.from({ length: 240 }, (_, index) => {
    const line: Line = [who[Math.floor(index / 2) % 4] ?? me, 200 + (240 - index) * 23, said[index % 5] ?? "…"];
    return spoken(id, line, index + 1, me, now);
  });
}

function numbered(one: MessageView, seq: number): MessageView {
  return { ...one, seq, id: `team-${seq}`, key: `team-${seq}` };
}

function notice(code: string, consultantId?: string): NonNullable<MessageView["notice"]> {
  return { code, parameters: consultantId === undefined ? {} : { consultant_id: consultantId } };
}
