/** /test-websocket: the page that a developer opens when something is wrong. */

import "@mantine/charts/styles.css";
import { useLocation } from "react-router";
import { Shell } from "../../components/shell/Shell";
import { Bench } from "../../components/socket/Bench";
import { WebSocketStatus } from "../../components/WebSocketStatus";
import { useMe } from "../../hooks/useNatter";
import { useSocketBench } from "../../hooks/useSocketBench";
import { useWebSocketOf } from "../../hooks/useWebSocketByPage";
import { browserEnvironment } from "../../service/websocket";
import { useSignOut } from "../useSignOut";

export default function TestWebSocketPage() {
  const bench = useSocketBench(useLocation().pathname, browserEnvironment);
  return (
    <Shell status={<WebSocketStatus {...useWebSocketOf(bench)} />} onSignOut={useSignOut()}>
      <Bench bench={bench} me={useMe()} />
    </Shell>
  );
}
