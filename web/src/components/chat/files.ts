/** Which files can be sent, said before anything is uploaded; the server looks at the bytes again. */

export const FILE_BYTES_MAX = 25 * 1024 * 1024;
export const FILES_MAX = 10;

/** As NATTER_ATTACHMENT_TYPES; the name's ending is for browsers that do not know the type. */
const TYPES: Readonly<Record<string, readonly string[]>> = {
  "image/png": [".png"],
  "image/jpeg": [".jpg", ".jpeg"],
  "image/gif": [".gif"],
  "image/webp": [".webp"],
  "audio/ogg": [".ogg", ".oga"],
  "audio/webm": [".weba"],
  "audio/mpeg": [".mp3"],
  "audio/mp4": [".m4a"],
  "audio/x-m4a": [],
  "audio/wav": [".wav"],
  "audio/x-wav": [],
  "application/pdf": [".pdf"],
  "text/plain": [".txt"],
};

/** For the file dialog. */
export const ACCEPTED = Object.entries(TYPES).flat(2).join(",");

export interface Refused {
  readonly file: File;
  readonly why: "file_too_large" | "file_type" | "file_too_many";
}

/** What of `chosen` can be sent beside the `waiting` ones that were chosen before. */
export function checkFiles(chosen: readonly File[], waiting: number): { good: File[]; refused: Refused[] } {
  const good: File[] = [];
  const refused: Refused[] = [];
  for (const file of chosen) {
    const why = problemOf(file, waiting + good.length);
    if (why === undefined) {
      good.push(file);
    } else {
      refused.push({ file, why });
    }
  }
  return { good, refused };
}

/** Lets the browser save what is at this URL. */
export function saveAs(url: string, name: string): void {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}

function problemOf(file: File, already: number): Refused["why"] | undefined {
  const name = file.name.toLowerCase();
  const type = file.type.split(";")[0] ?? "";
  if (
    !(type in TYPES) &&
    !Object.values(TYPES)
      .flat()
      .some((ending) => name.endsWith(ending))
  ) {
    return "file_type";
  }
  if (file.size > FILE_BYTES_MAX) {
    return "file_too_large";
  }
  return already >= FILES_MAX ? "file_too_many" : undefined;
}
