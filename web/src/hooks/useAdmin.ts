/** Gives components of the admin page what they ask chat-api with. */

import { createContext, useContext } from "react";
import type { AdminApi } from "../service/admin/model";

export const AdminContext = createContext<AdminApi | null>(null);

/** Throws outside of an `<AdminContext>`. */
export function useAdmin(): AdminApi {
  const admin = useContext(AdminContext);
  if (admin === null) throw new Error("needs <AdminContext value={…}> above it");
  return admin;
}
