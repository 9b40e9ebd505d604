/** Texts of the application: i18next with every namespace file beside this one; a new language is a new folder. */

import i18next, { type i18n, type Resource } from "i18next";
import { initReactI18next } from "react-i18next";
import { LANGUAGES, type Language } from "./languages";

export { LANGUAGES, type Language };

const FALLBACK: Language = "en";
const REMEMBERED = "natter.language";

const files = import.meta.glob<Record<string, unknown>>("./*/*.json", { eager: true, import: "default" });

/** `{ en: { chat: {…}, … }, … }`, from the files' names. */
export function resources(): Resource {
  const found: Record<string, Record<string, Record<string, unknown>>> = {};
  for (const [path, texts] of Object.entries(files)) {
    const [, language = "", file = ""] = path.split("/");
    found[language] ??= {};
    found[language][file.replace(/\.json$/, "")] = texts;
  }
  return found as Resource;
}

/** The language that was chosen here before, or the first of the browser's that there is. */
export function preferredLanguage(wanted: readonly string[], remembered: string | null): Language {
  const known = Object.keys(LANGUAGES) as Language[];
  for (const tag of remembered === null ? wanted : [remembered, ...wanted]) {
    const exact = known.find((language) => language.toLowerCase() === tag.toLowerCase());
    const near = known.find((language) => language.split("-")[0] === tag.toLowerCase().split("-")[0]);
    if (exact ?? near) {
      return exact ?? near ?? FALLBACK;
    }
  }
  return FALLBACK;
}

/** Texts in this language, without touching the page; for tests, and for whoever embeds single components. */
export function createTexts(language: Language): i18n {
  const texts = i18next.createInstance();
  void texts.use(initReactI18next).init({
    resources: resources(),
    lng: language,
    fallbackLng: FALLBACK,
    defaultNS: "common",
    initAsync: false,
    showSupportNotice: false,
    // React escapes; twice would show &amp; to people.
    interpolation: { escapeValue: false },
  });
  return texts;
}

/** The page's texts: in the user's language, which is remembered, and said to screen readers by `<html lang>`. */
export function startTexts(): i18n {
  const texts = createTexts(preferredLanguage(navigator.languages, remember()));
  document.documentElement.lang = texts.language;
  texts.on("languageChanged", (language) => {
    document.documentElement.lang = language;
    remember(language);
  });
  return texts;
}

function remember(language?: string): string | null {
  try {
    if (language !== undefined) {
      localStorage.setItem(REMEMBERED, language);
    }
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null; // storage is forbidden here: the choice lasts as long as the page
  }
}
