import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { api } from '@/api/client'
import { type Link, type MemberRole, members, type Person, people, type Role, roles } from '@/api/people'
import { Button } from '@/ui/button'
import { CopyButton } from '@/ui/copy'
import { Dialog } from '@/ui/dialog'
import { Checkbox, Field, Input, Select } from '@/ui/field'
import { FormDialog } from './branch-dialogs'

/** Shows a one-time link, once. */
export function LinkDialog({ link, title, onClose }: { link: Link; title: string; onClose: () => void }) {
  const text = location.origin + link.path
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={title}
      description="It is shown this once, and works once. Send it by a way that only the person reads."
      footer={
        <Button variant="primary" onClick={onClose}>
          I have copied it
        </Button>
      }
    >
      <div className="flex items-center gap-2 rounded-lg border border-line bg-sunken py-1.5 pr-1.5 pl-3">
        <code className="min-w-0 flex-1 break-all text-xs" data-testid="link">
          {text}
        </code>
        <CopyButton text={text} label="Copy the link">
          Copy
        </CopyButton>
      </div>
    </Dialog>
  )
}

type RoleProps = { value: MemberRole; owner: boolean; onChange: (role: MemberRole) => void }

/** Asks for a role in a project; owners are made by owners. */
export function RoleFields({ value, owner, onChange }: RoleProps) {
  return (
    <>
      <Field label="Role" hint={roles.find((r) => r.value === value.role)?.about}>
        {(ids) => (
          <Select
            {...ids}
            value={value.role}
            onValueChange={(role) => onChange({ ...value, role: role as Role })}
            options={roles.map((r) => ({ value: r.value, label: r.label, disabled: r.value === 'owner' && !owner }))}
          />
        )}
      </Field>
      <Checkbox
        checked={value.production_rows ?? false}
        onCheckedChange={(production_rows) => onChange({ ...value, production_rows })}
        label="May read the rows of production"
        hint="Admins and owners may in any case."
      />
    </>
  )
}

type MemberProps = { project: string; owner: boolean; onClose: () => void }

/** Gives somebody who can sign in already a role in a project. */
export function AddMemberDialog({ project, owner, onClose, again }: MemberProps & { again: () => void }) {
  const [name, setName] = useState('')
  const [role, setRole] = useState<MemberRole>({ role: 'developer' })
  return (
    <FormDialog
      title="Add a member"
      about={`Somebody who signs in here already gets a role in ${project}. Invite whoever is new.`}
      action="Add"
      ready={name.trim() !== ''}
      onClose={onClose}
      onSubmit={async () => {
        await members.set(project, name.trim(), role)
        again()
        onClose()
      }}
    >
      <Field label="Name" hint="What the person signs in with.">
        {(ids) => (
          <Input {...ids} autoFocus required maxLength={100} value={name} onChange={(e) => setName(e.target.value)} />
        )}
      </Field>
      <RoleFields value={role} owner={owner} onChange={setRole} />
    </FormDialog>
  )
}

/** Asks by which address the provider means somebody; nothing where there is no provider. */
function EmailField({ value, onChange }: { value: string; onChange: (email: string) => void }) {
  const methods = useQuery({ queryKey: ['login-methods'], queryFn: ({ signal }) => api.loginMethods(signal) }).data
  if (!methods?.oidc) return null
  return (
    <Field
      label="E-mail address"
      hint={`Whoever has it at ${methods.oidc} gets in without the link as well. Nothing is sent to it.`}
    >
      {(ids) => (
        <Input {...ids} type="email" maxLength={100} value={value} onChange={(e) => onChange(e.target.value)} />
      )}
    </Field>
  )
}

/** Writes the address by which the provider means somebody. */
export function EmailDialog({ person, onClose, again }: { person: Person; onClose: () => void; again: () => void }) {
  const [email, setEmail] = useState(person.email ?? '')
  return (
    <FormDialog
      title={`E-mail address of ${person.name}`}
      about="The first who signs in at the provider with this address, verified, is this person from then on; whoever was meant before no longer is."
      action="Save"
      onClose={onClose}
      onSubmit={async () => {
        await people.change(person.name, { email: email.trim() })
        again()
        onClose()
      }}
    >
      <Field label="E-mail address" hint="Empty: nobody at the provider is this person.">
        {(ids) => (
          <Input
            {...ids}
            autoFocus
            type="email"
            maxLength={100}
            value={email}
            onChange={(e) => setEmail(e.target.value)}
          />
        )}
      </Field>
    </FormDialog>
  )
}

/** Makes a one-time link for somebody new in a project. */
export function InviteDialog({ project, owner, onClose, onMade }: MemberProps & { onMade: (link: Link) => void }) {
  const [role, setRole] = useState<MemberRole>({ role: 'developer' })
  const [email, setEmail] = useState('')
  return (
    <FormDialog
      title={`Invite somebody to ${project}`}
      about="Whoever opens the link chooses a name and a password. It works once, and for a week."
      action="Make the link"
      onClose={onClose}
      onSubmit={async () => onMade(await members.invite(project, role, email.trim()))}
    >
      <RoleFields value={role} owner={owner} onChange={setRole} />
      <EmailField value={email} onChange={setEmail} />
    </FormDialog>
  )
}

/** Makes a one-time link for somebody new who has no project yet. */
export function InvitePersonDialog({ onClose, onMade }: { onClose: () => void; onMade: (link: Link) => void }) {
  const [admin, setAdmin] = useState(false)
  const [email, setEmail] = useState('')
  return (
    <FormDialog
      title="Invite somebody"
      about="Whoever opens the link chooses a name and a password. It works once, and for a week. Roles are given in each project."
      action="Make the link"
      onClose={onClose}
      onSubmit={async () => onMade(await people.invite(admin, email.trim()))}
    >
      <Checkbox
        checked={admin}
        onCheckedChange={setAdmin}
        label="Administrator"
        hint="Every right on every project, and on people."
      />
      <EmailField value={email} onChange={setEmail} />
    </FormDialog>
  )
}

/** Adds somebody with a first password, for where a link cannot be sent. */
export function NewPersonDialog({ onClose, again }: { onClose: () => void; again: () => void }) {
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const [admin, setAdmin] = useState(false)
  return (
    <FormDialog
      title="Add a person"
      about="With a first password, which the person is to change. An invitation lets the person choose one alone."
      action="Add"
      ready={name.trim() !== '' && password.length >= 10}
      onClose={onClose}
      onSubmit={async () => {
        await people.create({ name: name.trim(), password, admin })
        again()
        onClose()
      }}
    >
      <Field label="Name" hint="A short name or an e-mail address, without spaces.">
        {(ids) => (
          <Input {...ids} autoFocus required maxLength={100} value={name} onChange={(e) => setName(e.target.value)} />
        )}
      </Field>
      <Field label="First password" hint="At least 10 characters.">
        {(ids) => (
          <Input
            {...ids}
            type="password"
            autoComplete="new-password"
            maxLength={256}
            value={password}
            onChange={(e) => setPassword(e.target.value)}
          />
        )}
      </Field>
      <Checkbox
        checked={admin}
        onCheckedChange={setAdmin}
        label="Administrator"
        hint="Every right on every project, and on people."
      />
    </FormDialog>
  )
}
