/** What the pages of this application share, in React. */

import { createContext, useContext } from "react";
import type { Natter } from "../service/natter";
import type { PushService } from "../service/push";
import type { AppConfig } from "./config";

export interface Services {
  readonly config: AppConfig;
  readonly natter: Natter;
  readonly push: PushService;
}

export const ServicesContext = createContext<Services | null>(null);

/** Throws outside of a `<ServicesContext>`. */
export function useServices(): Services {
  const services = useContext(ServicesContext);
  if (services === null) throw new Error("needs <ServicesContext value={…}> above it");
  return services;
}
