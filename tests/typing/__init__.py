"""What a type checker must say of programs that use Roost."""
