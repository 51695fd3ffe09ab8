import { Check } from 'lucide-react'
import { DropdownMenu, Slot } from 'radix-ui'
import type { ComponentProps, ReactNode } from 'react'
import { cn } from './cn'

const item =
  'flex items-center gap-2 rounded-md px-2 py-1.5 text-sm outline-none data-[disabled]:pointer-events-none data-[highlighted]:bg-hover data-[disabled]:opacity-45 [&_svg]:size-4 [&_svg]:shrink-0 [&_svg]:text-muted'

export const Menu = DropdownMenu.Root
export const MenuTrigger = DropdownMenu.Trigger

export function MenuContent({ className, ...props }: ComponentProps<typeof DropdownMenu.Content>) {
  return (
    <DropdownMenu.Portal>
      <DropdownMenu.Content
        sideOffset={5}
        collisionPadding={8}
        className={cn(
          'z-50 max-h-(--radix-dropdown-menu-content-available-height) min-w-44 animate-rise overflow-y-auto rounded-lg border border-line bg-raised p-1 shadow-float',
          className,
        )}
        {...props}
      />
    </DropdownMenu.Portal>
  )
}

type ItemProps = ComponentProps<typeof DropdownMenu.Item> & { danger?: boolean; hint?: ReactNode }

export function MenuItem({ className, danger, hint, children, ...props }: ItemProps) {
  return (
    <DropdownMenu.Item className={cn(item, danger && 'text-production [&_svg]:text-production', className)} {...props}>
      {/* What an item is made of with asChild takes the hint in behind its own content. */}
      <Slot.Slottable>{children}</Slot.Slottable>
      {hint && <span className="ml-auto pl-4 text-faint text-xs">{hint}</span>}
    </DropdownMenu.Item>
  )
}

export function MenuChoice({ children, ...props }: ComponentProps<typeof DropdownMenu.RadioItem>) {
  return (
    <DropdownMenu.RadioItem className={item} {...props}>
      <span className="grid size-4 place-items-center">
        <DropdownMenu.ItemIndicator>
          <Check className="text-accent!" />
        </DropdownMenu.ItemIndicator>
      </span>
      {children}
    </DropdownMenu.RadioItem>
  )
}

export const MenuChoices = DropdownMenu.RadioGroup

export function MenuLabel({ children }: { children: ReactNode }) {
  return <DropdownMenu.Label className="px-2 pt-1.5 pb-1 font-medium text-faint text-xs">{children}</DropdownMenu.Label>
}

export function MenuLine() {
  return <DropdownMenu.Separator className="-mx-1 my-1 h-px bg-line" />
}
