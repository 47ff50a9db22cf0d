// A claim for backups and a pod that holds it open to look into: from the cluster's own storage where it has some, else a node's folder.
import type { Kubectl } from './kubectl.ts';

/** The pod is called "volume" and mounts the claim at /volume. */
export async function volumeObjects(
  kubectl: Kubectl,
  namespace: string,
  claim: string,
  image: string,
): Promise<object[]> {
  const { items } = await kubectl.json<{ items: { metadata: { annotations?: Record<string, string> } }[] }>([
    'get',
    'storageclass',
  ]);
  const provided = items.some(
    ({ metadata }) => metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true',
  );
  const name = `${namespace}-${claim}`;
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
  const volume = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: spec.accessModes,
      storageClassName: '',
      claimRef: { namespace, name: claim },
      hostPath: { path: `/tmp/dbbackup-${name}`, type: 'DirectoryOrCreate' },
    },
  };
  return [
    ...(provided ? [] : [volume]),
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: claim, namespace },
      spec: provided ? spec : { ...spec, storageClassName: '', volumeName: name },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'volume', namespace },
      spec: {
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 1,
        // A node's folder belongs to root and takes no fsGroup.
        initContainers: [mounting(image, 'open', 'rm -rf /volume/* && chmod 0777 /volume')],
        containers: [mounting(image, 'hold', 'trap "exit 0" TERM; while :; do sleep 1; done')],
        volumes: [{ name: 'volume', persistentVolumeClaim: { claimName: claim } }],
      },
    },
  ];
}

const mounting = (image: string, name: string, script: string): object => ({
  name,
  image,
  imagePullPolicy: 'IfNotPresent',
  command: ['sh', '-c', script],
  securityContext: { runAsUser: 0 },
  volumeMounts: [{ name: 'volume', mountPath: '/volume' }],
});
