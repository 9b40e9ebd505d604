/** The pages by address: each loaded when it is first shown, with its own error boundary. */

import { type ComponentType, lazy, Suspense } from "react";
import { Navigate, type RouteObject } from "react-router";
import { Loading } from "../components/shell/Loading";
import { NotFound } from "../components/shell/NotFound";
import { PageError } from "../components/shell/PageError";
import { useMe } from "../hooks/useNatter";
import type { Role } from "../service/chat/model";
import { homeOf, RequireAuth } from "./RequireAuth";

const Login = lazy(() => import("./pages/LoginRoute"));
const Chat = lazy(() => import("./pages/ChatRoute"));
const ChatPage = lazy(() => import("./pages/ChatPane"));
const Admin = lazy(() => import("./pages/Admin"));
const TestWebSocket = lazy(() => import("./pages/TestWebSocket"));

/** What goes wrong in a page stays in it: the router shows `PageError` in its place. */
function page(path: string, Page: ComponentType, only?: Role) {
  const shown = (
    <Suspense fallback={<Loading />}>
      <Page />
    </Suspense>
  );
  return { path, element: <RequireAuth only={only}>{shown}</RequireAuth>, errorElement: <PageError /> };
}

function Home() {
  const me = useMe();
  return <Navigate to={me === undefined ? "/login" : homeOf(me)} replace />;
}

export const routes: RouteObject[] = [
  {
    path: "/",
    errorElement: <PageError />,
    children: [
      { index: true, element: <Home /> },
      {
        path: "login",
        element: (
          <Suspense fallback={<Loading />}>
            <Login />
          </Suspense>
        ),
        errorElement: <PageError />,
      },
      {
        ...page("chat", Chat),
        // One chat for all conversations: its socket and its messages stay from one to the next.
        children: [
          { index: true, element: <ChatPage /> },
          { path: ":id", element: <ChatPage /> },
        ],
      },
      page("admin", Admin, "admin"),
      page("test-websocket", TestWebSocket),
      { path: "*", element: <NotFound /> },
    ],
  },
];
