// People and pipelines that never rest: objects created, applied server-side and triggered one after another, straight at the API server.
import { readFile } from 'node:fs/promises';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { backup } from './objects.ts';

export interface Load {
  /** Requests that were answered so far. */
  done(): number;
  /** Ends it; gives what went wrong, a line each. */
  stop(): Promise<string[]>;
}

interface Kubeconfig {
  clusters: { cluster: { server: string; 'certificate-authority-data': string } }[];
  users: { user: { 'client-certificate-data': string; 'client-key-data': string } }[];
}

/** Side by side: enough that API server and webhook always hold several connections. */
const workers = 3;
/** Between two requests of one of them. */
const pauseMilliseconds = 20;

type Send = (method: string, path: string, type: string, body: object) => Promise<string | undefined>;

/** Answers with what went wrong, if anything. */
async function sender(kubeconfig: string, agent: https.Agent): Promise<Send> {
  const { clusters, users } = JSON.parse(await readFile(kubeconfig, 'utf8')) as Kubeconfig;
  const [cluster, user] = [clusters[0]?.cluster, users[0]?.user];
  const decoded = (text = ''): Buffer => Buffer.from(text, 'base64');
  const login = {
    ca: decoded(cluster?.['certificate-authority-data']),
    cert: decoded(user?.['client-certificate-data']),
    key: decoded(user?.['client-key-data']),
  };
  return (method, path, type, body) =>
    new Promise((resolve) => {
      const url = new URL(path, cluster?.server);
      const request = https.request(url, { ...login, agent, method, headers: { 'content-type': type } }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => {
          // Without an answer to /mutate-trigger the API server goes on: only the missing name tells.
          const good = (response.statusCode ?? 0) < 300 && text.includes('"dbbackup.io/triggered-by"');
          resolve(good ? undefined : `${method} ${path}: ${response.statusCode} ${text}`);
        });
      });
      request.on('error', (error) => resolve(`${method} ${path}: ${error.message}`)).end(JSON.stringify(body));
    });
}

/** Every third request creates an object, the others change the spec and the trigger of one that is there. */
export async function startLoad(kubeconfig: string, namespace: string, name: string): Promise<Load> {
  const agent = new https.Agent({ keepAlive: true });
  const send = await sender(kubeconfig, agent);
  const place = `/apis/dbbackup.io/v1alpha1/namespaces/${namespace}/databasebackups`;
  const failures: string[] = [];
  let [done, stopping] = [0, false];
  const work = async (worker: number): Promise<void> => {
    for (let turn = 0; !stopping; turn++) {
      const target = turn % 3 === 0 ? `${name}-${worker}-${turn}` : `${name}-${worker}`;
      const annotations = { 'dbbackup.io/trigger': String(turn) };
      const object = backup({ startingDeadlineSeconds: 10 + turn }, { name: target, namespace, annotations });
      const failure =
        turn % 3 === 0
          ? await send('POST', place, 'application/json', object)
          : await send('PATCH', `${place}/${target}?fieldManager=load`, 'application/apply-patch+yaml', object);
      if (failure !== undefined) failures.push(failure);
      done++;
      await sleep(pauseMilliseconds);
    }
  };
  const running = Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)));
  return {
    done: () => done,
    stop: async () => {
      stopping = true;
      await running;
      agent.destroy();
      return failures;
    },
  };
}
