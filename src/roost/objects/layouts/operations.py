"""All that objects ask of the member that leads, by name."""

from roost.database import Operation
from roost.database.model import LongOperation
from roost.objects.layouts import (
    barriers,
    deques,
    dicts,
    heads,
    heaps,
    lines,
    lists,
    machines,
    registers,
    sets,
)

DROP = Operation("roost.object_drop", heads.drop)
DICT_PUT = Operation("roost.dict_put", dicts.put)
DICT_PUT_PARTS = LongOperation("roost.dict_put_parts", dicts.put_parts)
DICT_SET_DEFAULT = Operation("roost.dict_set_default", dicts.set_default)
DICT_POP = Operation("roost.dict_pop", dicts.pop)
DICT_POP_LAST = Operation("roost.dict_pop_last", dicts.pop_last)
DICT_CLEAR = Operation("roost.dict_clear", dicts.clear)
COUNTER_ADD = Operation("roost.counter_add", dicts.add)
COUNTER_ADD_PARTS = LongOperation("roost.counter_add_parts", dicts.add_parts)
SET_ADD = Operation("roost.set_add", sets.add)
SET_ADD_PARTS = LongOperation("roost.set_add_parts", sets.add_parts)
SET_DISCARD = Operation("roost.set_discard", sets.discard)
SET_DISCARD_PARTS = LongOperation("roost.set_discard_parts", sets.discard_parts)
SET_TOGGLE = Operation("roost.set_toggle", sets.toggle)
SET_TOGGLE_PARTS = LongOperation("roost.set_toggle_parts", sets.toggle_parts)
SET_KEEP = Operation("roost.set_keep", sets.keep)
SET_KEEP_PARTS = LongOperation("roost.set_keep_parts", sets.keep_parts)
SET_POP = Operation("roost.set_pop", sets.pop)
SET_CLEAR = Operation("roost.set_clear", sets.clear)
SET_FIND = Operation("roost.set_find", sets.find)
SET_FIND_PARTS = LongOperation("roost.set_find_parts", sets.find_parts)
LIST_GET = Operation("roost.list_get", lists.get)
LIST_SET = Operation("roost.list_set", lists.set_one)
LIST_INSERT = Operation("roost.list_insert", lists.insert)
LIST_INSERT_PARTS = LongOperation("roost.list_insert_parts", lists.insert_parts)
LIST_POP = Operation("roost.list_pop", lists.pop)
LIST_DELETE = LongOperation("roost.list_delete", lists.delete, mostly_short=True)
LIST_ASSIGN = LongOperation("roost.list_assign", lists.assign, mostly_short=True)
LIST_ASSIGN_PARTS = LongOperation("roost.list_assign_parts", lists.assign_parts)
LIST_REMOVE = Operation("roost.list_remove", lists.remove)
LIST_REVERSE = LongOperation("roost.list_reverse", lists.reverse, mostly_short=True)
LIST_REARRANGE = Operation("roost.list_rearrange", lists.rearrange)
LIST_REARRANGE_PARTS = LongOperation("roost.list_rearrange_parts", lists.rearrange_parts)
LIST_CLEAR = Operation("roost.list_clear", lists.clear)
DEQUE_GET = Operation("roost.deque_get", deques.get)
DEQUE_SET = Operation("roost.deque_set", deques.set_one)
DEQUE_EXTEND = LongOperation("roost.deque_extend", deques.extend, mostly_short=True)
DEQUE_EXTEND_PARTS = LongOperation("roost.deque_extend_parts", deques.extend_parts)
DEQUE_POP = Operation("roost.deque_pop", deques.pop)
DEQUE_INSERT = LongOperation("roost.deque_insert", deques.insert, mostly_short=True)
DEQUE_DELETE = LongOperation("roost.deque_delete", deques.delete, mostly_short=True)
DEQUE_REMOVE = LongOperation("roost.deque_remove", deques.remove, mostly_short=True)
DEQUE_ROTATE = LongOperation("roost.deque_rotate", deques.rotate, mostly_short=True)
DEQUE_REVERSE = LongOperation("roost.deque_reverse", deques.reverse, mostly_short=True)
DEQUE_CLEAR = Operation("roost.deque_clear", deques.clear)
HEAP_PUT = Operation("roost.heap_put", heaps.put)
HEAP_PEEK = Operation("roost.heap_peek", heaps.peek)
HEAP_TAKE = Operation("roost.heap_take", heaps.take)
HEAP_CLEAR = Operation("roost.heap_clear", heaps.clear)
REGISTER_PUT = Operation("roost.register_put", registers.put)
REGISTER_PUT_IF = Operation("roost.register_put_if", registers.put_if)
LINE_ENTER = LongOperation("roost.line_enter", lines.enter, mostly_short=True)
LINE_LOOK = LongOperation("roost.line_look", lines.look, mostly_short=True)
LINE_LEAVE = LongOperation("roost.line_leave", lines.leave, mostly_short=True)
LINE_FIRST = LongOperation("roost.line_first", lines.first, mostly_short=True)
BARRIER_ARRIVE = Operation("roost.barrier_arrive", barriers.arrive)
BARRIER_LOOK = Operation("roost.barrier_look", barriers.look)
BARRIER_LEAVE = Operation("roost.barrier_leave", barriers.leave)
BARRIER_ABORT = Operation("roost.barrier_abort", barriers.abort)
BARRIER_RESET = Operation("roost.barrier_reset", barriers.reset)
BARRIER_COUNT = Operation("roost.barrier_count", barriers.count)
MACHINE_PART = Operation("roost.machine_part", machines.put_part)
MACHINE_KEEP = Operation("roost.machine_keep", machines.keep)
MACHINE_TRIM = Operation("roost.machine_trim", machines.trim)
OPERATIONS = {it.name: it for it in list(vars().values()) if isinstance(it, Operation)}
