// The part of a backup's pod that belongs to the database: what only the dump container is given. Pure.
import { paths } from '../crds/rules/contract.ts';
import type { Backup } from './objects.ts';

/** Seconds that a service account token lives; the kubelet renews it before. */
const tokenSeconds = 3600;

export interface DatabaseVolume {
  name: string;
  mountPath: string;
  source: object;
}

/** Login, authorities of the server, the token of the service account. */
export function databaseVolumes(backup: Backup): DatabaseVolume[] {
  const { auth, tls } = backup.spec.database;
  // Optional: what is missing would only hang the pod; the container says what it misses.
  const file = (key: string) => ({ optional: true, defaultMode: 0o440, items: [{ key, path: 'ca.crt' }] });
  const secret = auth?.secretRef ?? auth?.tokenSecretKeyRef;
  const { configMapKeyRef: map, secretKeyRef } = tls?.ca ?? {};
  const ca =
    map === undefined
      ? secretKeyRef && { secret: { secretName: secretKeyRef.name, ...file(secretKeyRef.key) } }
      : { configMap: { name: map.name, ...file(map.key) } };
  const token = auth?.jwt && {
    sources: [
      {
        serviceAccountToken: {
          path: 'token',
          audience: auth.jwt.audience ?? 'openbao',
          expirationSeconds: tokenSeconds,
        },
      },
    ],
    defaultMode: 0o440,
  };
  return [
    ...(secret === undefined
      ? []
      : [
          {
            name: 'database',
            mountPath: paths.databaseSecret,
            source: { secret: { secretName: secret.name, optional: true, defaultMode: 0o440 } },
          },
        ]),
    ...(ca === undefined ? [] : [{ name: 'database-ca', mountPath: paths.databaseAuthorities, source: ca }]),
    ...(token === undefined
      ? []
      : [{ name: 'database-token', mountPath: paths.databaseToken, source: { projected: token } }]),
  ];
}
