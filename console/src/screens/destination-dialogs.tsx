import { useMutation } from '@tanstack/react-query'
import { CircleCheck, CircleX, PlugZap } from 'lucide-react'
import { useState } from 'react'
import { locations as api, type Location } from '@/api/backups'
import { Button } from '@/ui/button'
import { Checkbox, Field, Input, Select } from '@/ui/field'
import { ErrorNotice } from '@/ui/pieces'
import { FormDialog } from './branch-dialogs'

type Props = { project: string; onClose: () => void; again: () => void }

const texts = [
  ['endpoint', 'Endpoint', 's3.eu-central-1.amazonaws.com'],
  ['region', 'Region', 'eu-central-1'],
  ['bucket', 'Bucket', 'backups'],
  ['prefix', 'Prefix', 'holdfast'],
  ['access_key', 'Access key', ''],
] as const

/** Asks for a further place. It can be tried out; adding it tries it, too. */
export function LocationDialog({ project, onClose, again }: Props) {
  const [l, set] = useState<Location>({ name: '', kind: 's3', encrypt: true })
  const test = useMutation({ mutationFn: () => api.test(project, asked(l)) })
  const change = (c: Partial<Location>) => {
    test.reset()
    set({ ...l, ...c })
  }
  const ready = l.name !== '' && (l.kind === 'folder' ? Boolean(l.folder) : Boolean(l.endpoint && l.bucket))
  return (
    <FormDialog
      title="Add a location"
      about="Base backups, WAL and portable backups are written to it from now on. A new base backup is made at once."
      action="Add"
      ready={ready}
      onClose={onClose}
      onSubmit={async () => {
        await api.add(project, asked(l))
        again()
        onClose()
      }}
    >
      <Field label="Name">
        {(ids) => (
          <Input
            {...ids}
            autoFocus
            value={l.name}
            placeholder="offsite"
            onChange={(e) => change({ name: e.target.value })}
          />
        )}
      </Field>
      <Field label="Kind">
        {(ids) => (
          <Select
            {...ids}
            value={l.kind}
            onValueChange={(kind) => change({ kind: kind as Location['kind'] })}
            options={[
              { value: 's3', label: 'A bucket that speaks S3' },
              { value: 'folder', label: 'A folder on the server' },
            ]}
          />
        )}
      </Field>
      {l.kind === 'folder' ? (
        <Field label="Folder" hint="On another disk than the data, or that of another machine.">
          {(ids) => (
            <Input
              {...ids}
              value={l.folder ?? ''}
              placeholder="/mnt/backup/holdfast"
              onChange={(e) => change({ folder: e.target.value })}
            />
          )}
        </Field>
      ) : (
        <>
          <div className="grid gap-4 sm:grid-cols-2">
            {texts.map(([field, label, placeholder]) => (
              <Field key={field} label={label}>
                {(ids) => (
                  <Input
                    {...ids}
                    value={l[field] ?? ''}
                    placeholder={placeholder}
                    onChange={(e) => change({ [field]: e.target.value })}
                  />
                )}
              </Field>
            ))}
            <Field label="Secret key" hint="Kept sealed and never shown.">
              {(ids) => (
                <Input
                  {...ids}
                  type="password"
                  autoComplete="new-password"
                  value={l.secret ?? ''}
                  onChange={(e) => change({ secret: e.target.value })}
                />
              )}
            </Field>
          </div>
          <Field
            label="Object lock, days"
            hint="For so long the bucket destroys a backup for nobody, Holdfast included. It must have been made with object lock."
          >
            {(ids) => (
              <Input
                {...ids}
                type="number"
                min={0}
                max={3660}
                value={l.lock_days ?? 0}
                onChange={(e) => change({ lock_days: Math.max(0, Math.trunc(Number(e.target.value)) || 0) })}
              />
            )}
          </Field>
          <Checkbox
            checked={l.path_style ?? false}
            onCheckedChange={(path_style) => change({ path_style })}
            label="The bucket stands in the path"
            hint="As MinIO and others want it."
          />
          <Checkbox
            checked={l.insecure ?? false}
            onCheckedChange={(insecure) => change({ insecure })}
            label="Plain HTTP"
            hint="For an endpoint on this machine or a trusted network only."
          />
        </>
      )}
      <Checkbox
        checked={l.encrypt ?? false}
        onCheckedChange={(encrypt) => change({ encrypt })}
        label="Encrypt"
        hint="With the project’s key, before anything leaves this machine. Keep the key elsewhere, too."
      />
      <Button className="self-start" disabled={!ready} busy={test.isPending} onClick={() => test.mutate()}>
        <PlugZap /> Test the connection
      </Button>
      {test.error && <ErrorNotice error={test.error} />}
      {test.data && (
        <div role="status" className="rounded-lg border border-line bg-sunken/60 p-3 text-sm">
          <p className="flex items-center gap-1.5 font-medium">
            {test.data.ok ? (
              <CircleCheck className="size-4 text-ok" aria-hidden />
            ) : (
              <CircleX className="size-4 text-production" aria-hidden />
            )}
            {test.data.ok ? 'It works' : 'It does not work'}
          </p>
          <ol className="mt-1 list-decimal pl-5 text-muted text-xs [overflow-wrap:anywhere]">
            {test.data.steps.map((step) => (
              <li key={step}>{step}</li>
            ))}
          </ol>
          {test.data.hint && <p className="mt-1 text-xs">{test.data.hint}</p>}
        </div>
      )}
    </FormDialog>
  )
}

/** What is asked for: of a folder nothing that belongs to a bucket, and the reverse. */
function asked({ name, kind, folder, encrypt, ...bucket }: Location): Location {
  return kind === 'folder' ? { name, kind, folder, encrypt } : { name, kind, encrypt, ...bucket }
}

/** Chooses a folder that need not always be there, such as a disk that is carried away. */
export function FolderDialog({ project, onClose, again }: Props) {
  const [folder, setFolder] = useState('')
  const [encrypt, setEncrypt] = useState(false)
  const forget = useMutation({
    mutationFn: () => api.removeFolder(project),
    onSuccess: () => {
      again()
      onClose()
    },
  })
  return (
    <FormDialog
      title="Export folder"
      about="Every backup is copied there whenever it is in reach, such as a disk that is carried away."
      action="Use this folder"
      ready={folder !== ''}
      onClose={onClose}
      onSubmit={async () => {
        await api.setFolder(project, { folder, encrypt })
        again()
        onClose()
      }}
    >
      <Field label="Folder on the server">
        {(ids) => (
          <Input
            {...ids}
            autoFocus
            value={folder}
            placeholder="/mnt/disk/backups"
            onChange={(e) => setFolder(e.target.value)}
          />
        )}
      </Field>
      <Checkbox checked={encrypt} onCheckedChange={setEncrypt} label="Encrypt" hint="With the project’s key." />
      <Button className="self-start" variant="ghost" busy={forget.isPending} onClick={() => forget.mutate()}>
        Forget the export folder
      </Button>
      {forget.error && <ErrorNotice error={forget.error} />}
    </FormDialog>
  )
}
