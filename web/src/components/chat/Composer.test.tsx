// @vitest-environment jsdom
import { fireEvent, screen, waitFor } from "@testing-library/react";
import { useRef } from "react";
import { describe, expect, it, vi } from "vitest";
import { type Drafts, useComposer } from "../../hooks/useComposer";
import { DemoStore } from "../../testing/demoStore";
import { message } from "../../testing/messages";
import { renderChat } from "../../testing/render";
import { Composer } from "./Composer";
import { FILE_BYTES_MAX } from "./files";

const OWN = message({ seq: 7, mine: true, content: "old words" });

function Written({ drafts, withNotes }: { drafts: Drafts; withNotes: boolean }) {
  const composing = useComposer("knee", drafts);
  const field = useRef<HTMLTextAreaElement>(null);
  return (
    <>
      <button type="button" onClick={() => composing.reply(message({ seq: 3, content: "May I?" }))}>
        answer
      </button>
      <Composer composing={composing} withNotes={withNotes} field={field} lastEditable={() => OWN} />
    </>
  );
}

function setup({ drafts = new Map() as Drafts, withNotes = false, at = "/chat" } = {}) {
  const store = new DemoStore();
  const send = vi.spyOn(store, "send");
  const edit = vi.spyOn(store, "edit");
  const typing = vi.spyOn(store, "typing");
  const shown = renderChat(<Written drafts={drafts} withNotes={withNotes} />, { store, at });
  return { ...shown, send, edit, typing, drafts, field: screen.getByRole<HTMLTextAreaElement>("textbox") };
}

describe("the composer", () => {
  it("sends with Enter, and is empty then", async () => {
    const { user, field, send } = setup();
    await user.type(field, "  Hello there {Enter}");
    expect(send).toHaveBeenCalledExactlyOnceWith("knee", { text: "Hello there" });
    expect(field.value).toBe("");
  });

  it("begins a line with Shift and Enter, and sends nothing", async () => {
    const { user, field, send } = setup();
    await user.type(field, "one{Shift>}{Enter}{/Shift}two");
    expect(field.value).toBe("one\ntwo");
    expect(send).not.toHaveBeenCalled();
  });

  it("leaves Enter to an input method that is choosing characters", () => {
    const { field, send } = setup();
    fireEvent.change(field, { target: { value: "你好" } });
    fireEvent.keyDown(field, { key: "Enter", isComposing: true });
    fireEvent.keyDown(field, { key: "Enter", keyCode: 229 });
    expect(send).not.toHaveBeenCalled();
    fireEvent.keyDown(field, { key: "Enter" });
    expect(send).toHaveBeenCalledOnce();
  });

  it("sends nothing that is only blanks", async () => {
    const { user, field, send } = setup();
    await user.type(field, "   {Enter}");
    expect(send).not.toHaveBeenCalled();
  });

  it("edits the last own message with Up, saves with Enter, and brings the draft back with Escape", async () => {
    const { user, field, edit, send } = setup();
    await user.type(field, "{ArrowUp}");
    expect(field.value).toBe("old words");
    await user.clear(field);
    await user.type(field, "new words{Enter}");
    await waitFor(() => expect(edit).toHaveBeenCalledExactlyOnceWith(OWN.id, "new words"));
    expect(send).not.toHaveBeenCalled();
    await user.type(field, "{ArrowUp}{Escape}");
    expect(field.value).toBe("");
    expect(edit).toHaveBeenCalledOnce();
  });

  it("leaves Up to the cursor when something is written", async () => {
    const { user, field } = setup();
    await user.type(field, "half{ArrowUp}");
    expect(field.value).toBe("half");
  });

  it("answers a message, and forgets that with Escape", async () => {
    const { user, field, send } = setup();
    await user.click(screen.getByText("answer"));
    expect(screen.getByText("Reply to Anna")).toBeDefined();
    await user.type(field, "Yes{Enter}");
    expect(send).toHaveBeenLastCalledWith("knee", { text: "Yes", replyTo: "m3" });
    await user.click(screen.getByText("answer"));
    await user.type(field, "{Escape}Yes{Enter}");
    expect(send).toHaveBeenLastCalledWith("knee", { text: "Yes" });
  });

  it("sends each pasted file as a message, the text with the first, and says which are not taken", async () => {
    const { user, field, send } = setup();
    const picture = new File(["x"], "a.png", { type: "image/png" });
    const plan = new File(["x"], "b.pdf", { type: "application/pdf" });
    const huge = new File(["x"], "huge.pdf", { type: "application/pdf" });
    Object.defineProperty(huge, "size", { value: FILE_BYTES_MAX + 1 });
    URL.createObjectURL = () => "blob:x";
    URL.revokeObjectURL = () => undefined;
    const script = new File(["x"], "c.html", { type: "text/html" });
    fireEvent.paste(field, { clipboardData: { files: [picture, plan, huge, script] } });
    expect(screen.getAllByRole("listitem")).toHaveLength(2);
    expect(await screen.findByText(/huge.pdf is larger than 26.2 MB/)).toBeDefined();
    expect(screen.getByText(/c.html is of a type that is not taken/)).toBeDefined();
    await user.type(field, "both{Enter}");
    expect(send.mock.calls.map(([, outgoing]) => outgoing)).toEqual([
      { text: "both", file: picture },
      { text: "", file: plan },
    ]);
  });

  it("marks what is important once, and stays with notes until told otherwise", async () => {
    const { user, field, send } = setup({ withNotes: true });
    await user.click(screen.getByRole("button", { name: "Mark as important" }));
    await user.type(field, "1{Enter}2{Enter}");
    await user.click(screen.getByRole("button", { name: "Internal note" }));
    await user.type(field, "3{Enter}4{Enter}");
    expect(send.mock.calls.map(([, outgoing]) => outgoing)).toEqual([
      { text: "1", important: true },
      { text: "2" },
      { text: "3", internal: true },
      { text: "4", internal: true },
    ]);
  });

  it("keeps files and answers out of notes, and drops none that are there", async () => {
    const { user, field, send } = setup({ withNotes: true });
    const plan = new File(["x"], "b.pdf", { type: "application/pdf" });
    const note = screen.getByRole("button", { name: "Internal note" });
    fireEvent.paste(field, { clipboardData: { files: [plan] } });
    await user.click(note);
    expect(await screen.findByText(/text alone/)).toBeDefined();
    expect(note.getAttribute("aria-pressed")).toBe("false");
    await user.type(field, "{Enter}");
    expect(send).toHaveBeenCalledExactlyOnceWith("knee", { text: "", file: plan });

    await user.click(note);
    fireEvent.paste(field, { clipboardData: { files: [plan] } });
    await user.click(screen.getByText("answer"));
    expect(screen.queryByRole("listitem")).toBeNull();
    expect(screen.queryByText("Reply to Anna")).toBeNull();
    for (const name of ["Attach files", "Mark as important", "Record a voice note"]) {
      expect(screen.queryByRole("button", { name })).toBeNull();
    }
  });

  it("offers what the page's features name, and nothing else", async () => {
    // A page that is for messages alone.
    const { user, field, typing } = setup({ at: "/test-websocket" });
    await user.type(field, "Hello");
    fireEvent.paste(field, { clipboardData: { files: [new File(["x"], "a.png", { type: "image/png" })] } });
    expect(typing).not.toHaveBeenCalled();
    expect(screen.queryByRole("listitem")).toBeNull();
    for (const name of ["Attach files", "Record a voice note"]) {
      expect(screen.queryByRole("button", { name })).toBeNull();
    }
    expect(screen.getByRole("button", { name: "Send" })).toBeDefined();
  });

  it("offers no notes to customers", () => {
    setup();
    expect(screen.queryByRole("button", { name: "Internal note" })).toBeNull();
  });

  it("tells others that one types, but not of a note", async () => {
    const { user, field, typing } = setup({ withNotes: true });
    await user.type(field, "a");
    expect(typing).toHaveBeenCalledExactlyOnceWith("knee");
    await user.click(screen.getByRole("button", { name: "Internal note" }));
    await user.type(field, "b");
    expect(typing).toHaveBeenCalledOnce();
  });

  it("keeps the draft of a conversation that was left", async () => {
    const first = setup();
    await first.user.type(first.field, "not yet");
    first.unmount();
    expect(setup({ drafts: first.drafts }).field.value).toBe("not yet");
  });

  it("says that nothing can be recorded where the browser cannot", async () => {
    const { user } = setup();
    await user.click(screen.getByRole("button", { name: "Record a voice note" }));
    expect(screen.getByRole("alert").textContent).toBe("This browser cannot record.");
  });
});
