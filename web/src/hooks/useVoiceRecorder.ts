/** Records a voice note with the browser's MediaRecorder; the microphone is open only while recording. */

import { useCallback, useEffect, useRef, useState } from "react";

/** The first that the browser can make; chat-api takes all of them. */
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus", "audio/webm"];
export const VOICE_MAX_MS = 5 * 60_000;
const TICK_MS = 100;

export type RecorderProblem = "denied" | "missing" | "unsupported" | "broken";
export type RecorderState = "idle" | "asking" | "recording";

export interface Voice {
  readonly blob: Blob;
  readonly durationMs: number;
}

export interface VoiceRecorder {
  readonly state: RecorderState;
  readonly elapsedMs: number;
  readonly problem?: RecorderProblem;
  start(): Promise<void>;
  /** What was recorded; undefined if nothing was. */
  stop(): Promise<Voice | undefined>;
  cancel(): void;
}

interface Recording {
  readonly recorder: MediaRecorder;
  readonly stream: MediaStream;
  readonly chunks: Blob[];
  readonly startedAt: number;
}

export function useVoiceRecorder(): VoiceRecorder {
  const [state, setState] = useState<RecorderState>("idle");
  const [problem, setProblem] = useState<RecorderProblem>();
  const [elapsedMs, setElapsedMs] = useState(0);
  const current = useRef<Recording | undefined>(undefined);
  /** Counts questions for the microphone: an answer to one that was given up closes it again. */
  const asked = useRef(0);

  const end = useCallback((): Recording | undefined => {
    const recording = current.current;
    current.current = undefined;
    asked.current += 1;
    setState("idle");
    setElapsedMs(0);
    return recording;
  }, []);

  const cancel = useCallback(() => {
    const recording = end();
    if (recording !== undefined) {
      recording.recorder.stop();
      close(recording.stream);
    }
  }, [end]);

  const stop = useCallback(async (): Promise<Voice | undefined> => {
    const recording = end();
    return recording && finish(recording);
  }, [end]);

  const start = useCallback(async (): Promise<void> => {
    const question = ++asked.current;
    setProblem(undefined);
    if (!canRecord()) {
      setProblem("unsupported");
      return;
    }
    setState("asking");
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      if (question !== asked.current) {
        close(stream);
        return;
      }
      current.current = record(stream);
      setState("recording");
    } catch (error) {
      if (question === asked.current) {
        setState("idle");
        setProblem(problemOf(error));
      }
    }
  }, []);

  useEffect(() => {
    if (state !== "recording") {
      return;
    }
    const timer = setInterval(() => {
      const recording = current.current;
      const elapsed = recording === undefined ? 0 : performance.now() - recording.startedAt;
      setElapsedMs(elapsed);
      if (recording?.recorder.state === "recording" && elapsed >= VOICE_MAX_MS) {
        recording.recorder.pause(); // what is there can still be sent
      }
    }, TICK_MS);
    return () => clearInterval(timer);
  }, [state]);

  useEffect(() => cancel, [cancel]);

  return {
    state,
    elapsedMs: Math.min(elapsedMs, VOICE_MAX_MS),
    ...(problem ? { problem } : {}),
    start,
    stop,
    cancel,
  };
}

function canRecord(): boolean {
  return typeof MediaRecorder !== "undefined" && navigator.mediaDevices?.getUserMedia !== undefined;
}

function record(stream: MediaStream): Recording {
  const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
  try {
    const recorder = new MediaRecorder(stream, mimeType === undefined ? {} : { mimeType });
    const chunks: Blob[] = [];
    recorder.addEventListener("dataavailable", ({ data }) => {
      if (data.size > 0) {
        chunks.push(data);
      }
    });
    recorder.start();
    return { recorder, stream, chunks, startedAt: performance.now() };
  } catch (error) {
    close(stream);
    throw error;
  }
}

function finish({ recorder, stream, chunks, startedAt }: Recording): Promise<Voice | undefined> {
  const durationMs = Math.min(Math.round(performance.now() - startedAt), VOICE_MAX_MS);
  return new Promise((resolve) => {
    const done = (): void => {
      close(stream);
      // Without the codec: that is what the server's list of types has.
      const type = (recorder.mimeType || "audio/webm").split(";")[0] ?? "audio/webm";
      resolve(chunks.length === 0 ? undefined : { blob: new Blob(chunks, { type }), durationMs });
    };
    if (recorder.state === "inactive") {
      done(); // it ended by itself: the microphone was pulled out
    } else {
      recorder.addEventListener("stop", done, { once: true });
      recorder.stop();
    }
  });
}

function close(stream: MediaStream): void {
  for (const track of stream.getTracks()) {
    track.stop();
  }
}

function problemOf(error: unknown): RecorderProblem {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") {
    return "denied";
  }
  return name === "NotFoundError" || name === "OverconstrainedError" ? "missing" : "broken";
}
