"""What bodies do: one `Pose` an action, in figure heights, for a figure that is turned to the right."""

from __future__ import annotations

from typing import NamedTuple


class Pose(NamedTuple):
    rear: tuple[float, float] = (-0.245, 0.19)  # the hand on the left
    lead: tuple[float, float] = (0.245, 0.19)  # the hand on the right, which holds, points and waves
    bends: tuple[float, float] = (0.035, -0.035)  # how far the elbows stand out, to the left of the way from shoulder to hand
    feet: tuple[tuple[float, float], tuple[float, float]] = ((-0.085, 0.03), (0.085, 0.03))
    knees: tuple[float, float] = (0.0, 0.0)
    toes: tuple[float, float] = (0.0, 0.0)  # degrees, of each foot
    lift: float = 0.0
    lean: float = 0.0  # degrees of the body, forwards
    tilt: float = 0.0  # of the head, forwards
    nod: tuple[float, float] = (0.0, 0.0)  # where the head is moved
    over: bool = False  # arms are painted over the head
    side: bool = False  # feet in profile even if it looks at the viewer
    pivot: float = 0.2  # the height about which the body leans
    grip: float = 0.0  # degrees by which a held thing is turned


HOLDING = {"stand": (0.34, 0.36), "sit": (0.33, 0.33), "walk": (0.35, 0.38)}  # where the leading hand is when it holds something
POSES = {
    "stand": Pose(),
    "wave": Pose(lead=(0.37, 0.72), bends=(0.035, -0.09), tilt=7, grip=-8),
    "jump": Pose(
        rear=(-0.37, 0.62), lead=(0.37, 0.62), bends=(-0.05, 0.05), feet=((-0.20, 0.04), (0.17, 0.0)), knees=(0.05, -0.05), toes=(-35, 20), lift=0.25
    ),
    "sit": Pose(
        rear=(-0.27, 0.13), lead=(0.21, 0.25), bends=(0.04, -0.06), feet=((0.23, 0.17), (0.33, 0.17)), knees=(0.03, 0.03), toes=(50, 50), lift=-0.135
    ),
    "dance": Pose(
        rear=(-0.36, 0.33),
        lead=(0.30, 0.83),
        bends=(-0.10, -0.10),
        feet=((-0.04, 0.03), (0.34, 0.20)),
        knees=(0.0, 0.04),
        toes=(0, 40),
        lean=-13,
        tilt=12,
        lift=0.02,
    ),
    "run": Pose(
        rear=(-0.33, 0.36),
        lead=(0.35, 0.38),
        bends=(0.10, 0.13),
        feet=((-0.33, 0.17), (0.27, 0.06)),
        knees=(-0.09, 0.07),
        toes=(-70, 15),
        lean=17,
        lift=0.03,
        side=True,
    ),
    "cheer": Pose(rear=(-0.31, 0.83), lead=(0.31, 0.83), bends=(0.07, -0.07), feet=((-0.14, 0.03), (0.14, 0.03)), lift=0.015),
    "sleep": Pose(rear=(-0.12, 0.26), lead=(0.14, 0.24), feet=((-0.07, -0.02), (0.08, -0.02)), lean=-82, tilt=34, nod=(0.02, 0.0), lift=0.02),
    "eat": Pose(rear=(-0.06, 0.455), lead=(0.14, 0.455), bends=(-0.11, 0.11), over=True, tilt=4),
    "read": Pose(rear=(-0.15, 0.33), lead=(0.27, 0.33), bends=(0.09, -0.09), over=True, tilt=15, nod=(0.015, 0.01)),
    "fall": Pose(
        rear=(-0.36, 0.52),
        lead=(0.34, 0.70),
        bends=(0.05, -0.05),
        feet=((0.02, -0.04), (0.21, 0.02)),
        knees=(-0.06, 0.04),
        toes=(20, 30),
        lean=-64,
        tilt=26,
        lift=0.10,
        pivot=0.26,
    ),
    "hug": Pose(rear=(0.40, 0.41), lead=(0.43, 0.29), bends=(-0.05, 0.05), over=True, tilt=8, lean=2),
    "hold hands": Pose(rear=(-0.235, 0.19), lead=(0.37, 0.33), bends=(0.035, 0.02)),
    "point": Pose(rear=(-0.20, 0.27), lead=(0.44, 0.45), bends=(0.15, 0.0), tilt=4, lean=4),
    "hold both": Pose(rear=(-0.37, 0.33), lead=(0.37, 0.33), bends=(-0.02, 0.02)),  # the middle one of three
    "walk": Pose(
        rear=(-0.31, 0.29),
        lead=(0.29, 0.31),
        bends=(0.02, 0.08),
        feet=((-0.25, 0.07), (0.26, 0.05)),
        knees=(-0.03, 0.03),
        toes=(-45, 25),
        lift=0.0,
        lean=4,
        side=True,
    ),
}
